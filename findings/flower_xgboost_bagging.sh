#!/usr/bin/env bash
# Flower: bagging of XGBoost models keeps one tree of each client, whatever it sent.
#
# XGBoost grows a tree for each class in each round of boosting. FedXgbBagging of flwr 1.42.0 takes as many trees of a
# reply as `num_parallel_tree` says, which is 1 for boosting, and adds each as a tree of class 0. So of a model of
# several classes it keeps the trees of class 0 alone, and of a client that boosts three rounds before it answers the
# first one. Only the very first reply counts in full, as there is no model yet that it is added to. Nothing is logged,
# and XGBoost loads and uses the result. With two classes and one local round, as in Flower's example, nothing is lost.
#
# Needs Python 3.12 or later, as XGBoost 3.4 does: PYTHON=python3.12 bash findings/flower_xgboost_bagging.sh
#
# Output seen (Python 3.12, x86-64), 4 clients, 10 rounds; "of all trees" is the same federation where each tree is kept
# for its class:
#   flwr 1.42.0, xgboost 3.4.1
#   two classes, 1 local: 40 trees sent, kept by class [40], accuracy 0.88; of all trees 0.88
#   two classes, 3 local: 120 trees sent, kept by class [42], accuracy 0.89; of all trees 0.93
#   five classes, 1 local: 200 trees sent, kept by class [40, 1, 1, 1, 1], accuracy 0.56; of all trees 0.65
#   five classes, 3 local: 600 trees sent, kept by class [42, 3, 3, 3, 3], accuracy 0.61; of all trees 0.72
set -euo pipefail
folder="$(mktemp -d)"
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet --disable-pip-version-check "flwr==1.42.0" "scipy<2" "numpy<3"
"$folder/env/bin/pip" install --quiet --disable-pip-version-check --no-deps "xgboost==3.4.1"  # without CUDA's libraries
cat > "$folder/bagging.py" <<'PY'
import json
import logging
from importlib.metadata import version

import numpy as np
import xgboost as xgb
from flwr.common import ArrayRecord, Message, MetricRecord, RecordDict
from flwr.serverapp.strategy import FedXgbBagging
from flwr.supercore.task_identity import TaskIdentity

logging.disable(logging.CRITICAL)
TaskIdentity.run_id = TaskIdentity.node_id = TaskIdentity.task_id = 1  # as Flower's launcher does
CLIENTS, ROUNDS = 4, 10
rng = np.random.default_rng(0)
x = rng.normal(size=(3000, 4))
y = np.digitize(x[:, 0] + x[:, 1] * x[:, 2], (-1, -0.3, 0.3, 1))  # five classes
test = xgb.DMatrix(x[2000:])


def train(params, labels, model, rounds):
    """Return the trees that a client adds to the global model, as Flower's example does."""
    data = xgb.DMatrix(*labels)
    booster = xgb.Booster(params, [data])
    if model:
        booster.load_model(bytearray(model))
    for _ in range(rounds):
        booster.update(data, booster.num_boosted_rounds())
    return bytes(booster[booster.num_boosted_rounds() - rounds :].save_raw("json"))


def reply(client, model):
    """Return a client's reply."""
    arrays = ArrayRecord([np.frombuffer(model, np.uint8)])
    content = RecordDict({"arrays": arrays, "metrics": MetricRecord({"num-examples": 1})})
    request = Message(RecordDict(), dst_node_id=client + 1, message_type="train")
    return Message(content, reply_to=request)


def aggregate(model, updates):
    """Return the strategy's model."""
    strategy = FedXgbBagging()
    strategy.current_bst = model  # as configure_train does
    arrays, _ = strategy.aggregate_train(
        1, [reply(client, update) for client, update in enumerate(updates)]
    )
    return arrays["0"].numpy().tobytes()


def keep_all(model, updates):
    """Return the model with all trees of all updates, each of its class."""
    parts = [json.loads(part) for part in (model, *updates) if part]
    whole = parts[0]["learner"]["gradient_booster"]["model"]
    for part in parts[1:]:
        added, count = part["learner"]["gradient_booster"]["model"], len(whole["trees"])
        whole["trees"] += added["trees"]
        whole["tree_info"] += added["tree_info"]
        whole["iteration_indptr"] += [count + end for end in added["iteration_indptr"][1:]]
    for number, tree in enumerate(whole["trees"]):
        tree["id"] = number
    whole["gbtree_model_param"]["num_trees"] = str(len(whole["trees"]))
    return json.dumps(parts[0]).encode()


def show(name, params, labels, rounds):
    """Run a federation twice, and print what becomes of its trees."""
    params = {**params, "max_depth": 3, "eta": 0.1, "nthread": 1}
    print(f"{name}, {rounds} local:", end=" ")
    for merge in (aggregate, keep_all):
        model, sent = b"", 0
        for _ in range(ROUNDS):
            updates = [
                train(params, (x[c:2000:CLIENTS], labels[c:2000:CLIENTS]), model, rounds)
                for c in range(CLIENTS)
            ]
            sent += sum(len(trees(update)["trees"]) for update in updates)
            model = merge(model, updates)
        found = xgb.Booster(params, model_file=bytearray(model)).predict(test)
        right = (found.argmax(1) if found.ndim == 2 else found > 0.5) == labels[2000:]
        if merge is aggregate:
            counts = np.bincount(trees(model)["tree_info"]).tolist()
            print(f"{sent} trees sent, kept by class {counts}, accuracy {right.mean():.2f}", end="")
        else:
            print(f"; of all trees {right.mean():.2f}")


def trees(model):
    """Return a model's trees and their classes."""
    return json.loads(model)["learner"]["gradient_booster"]["model"]


print(f"flwr {version('flwr')}, xgboost {xgb.__version__}")
binary, multi = {"objective": "binary:logistic"}, {"objective": "multi:softprob", "num_class": 5}
show("two classes", binary, (y > 2).astype(int), 1)
show("two classes", binary, (y > 2).astype(int), 3)
show("five classes", multi, y, 1)
show("five classes", multi, y, 3)
PY
"$folder/env/bin/python" -W ignore "$folder/bagging.py" | tee "$folder/output"
diff "$folder/output" - <<'SEEN'
flwr 1.42.0, xgboost 3.4.1
two classes, 1 local: 40 trees sent, kept by class [40], accuracy 0.88; of all trees 0.88
two classes, 3 local: 120 trees sent, kept by class [42], accuracy 0.89; of all trees 0.93
five classes, 1 local: 200 trees sent, kept by class [40, 1, 1, 1, 1], accuracy 0.56; of all trees 0.65
five classes, 3 local: 600 trees sent, kept by class [42, 3, 3, 3, 3], accuracy 0.61; of all trees 0.72
SEEN
