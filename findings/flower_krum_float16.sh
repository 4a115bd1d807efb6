#!/usr/bin/env bash
# Flower: Krum of float16 weights returns the first reply, whoever sent it.
#
# flwr 1.42.0 computes squared distances as |x|^2 + |y|^2 - 2 x y in the dtype of the weights. In float16 the squared
# norm of a model passes 65504, the largest number, already with 100,000 weights of size 1: all distances are then
# inf or NaN, and sorting them keeps the order of the replies. Krum of ten clients, two of whom send updates five
# times as large, returns the update of the attacker who answers first. The same weights in float32 and float64
# give an honest one. In float32, squared distances come out as 0 or negative where updates have less than about
# a thousandth of the weights' size, as in fine-tuning. MultiKrum and Bulyan use the same distances.
#
# Output seen (Python 3.11, x86-64); clients 0 and 1 are the attackers:
#   flwr 1.42.0
#   float64, updates of 0.01: Krum returns honest clients; squared distances that are not above 0, or not finite: none
#   float64, updates of 0.0001: Krum returns honest clients; squared distances that are not above 0, or not finite: none
#   float32, updates of 0.01: Krum returns honest clients; squared distances that are not above 0, or not finite: none
#   float32, updates of 0.0001: Krum returns honest clients; squared distances that are not above 0, or not finite: some
#   float16, updates of 0.01: Krum returns client 0 alone; squared distances that are not above 0, or not finite: all
#   float16, updates of 0.0001: Krum returns client 0 alone; squared distances that are not above 0, or not finite: all
set -euo pipefail
folder="$(mktemp -d)"
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet --disable-pip-version-check "flwr==1.42.0"
cat > "$folder/krum.py" <<'PY'
import logging
from importlib.metadata import version

import numpy as np
from flwr.common import Array, ArrayRecord, Message, MetricRecord, RecordDict
from flwr.serverapp.strategy import Krum
from flwr.serverapp.strategy.multikrum import compute_distances
from flwr.supercore.task_identity import TaskIdentity

logging.disable(logging.CRITICAL)
TaskIdentity.run_id = TaskIdentity.node_id = TaskIdentity.task_id = 1  # as Flower's launcher does


def reply(client, arrays):
    """Return a client's reply."""
    content = RecordDict({"arrays": arrays, "metrics": MetricRecord({"num-examples": 1})})
    request = Message(RecordDict(), dst_node_id=client + 1, message_type="train")
    return Message(content, reply_to=request)


def select(size, dtype):
    """Return which clients Krum returns in five draws, and how many distances are not positive."""
    selected, wrong = set(), 0
    for seed in range(5):
        rng = np.random.default_rng(seed)
        base = rng.normal(size=100_000)
        models = [
            (base + size * (5 if client < 2 else 1) * rng.normal(size=base.size)).astype(dtype)
            for client in range(10)
        ]
        records = [ArrayRecord({"w": Array(model)}) for model in models]
        distances = compute_distances(records)[~np.eye(10, dtype=bool)]
        wrong += int((~(distances > 0) | np.isinf(distances)).sum())
        arrays, _ = Krum(num_malicious_nodes=2).aggregate_train(
            1, [reply(client, record) for client, record in enumerate(records)]
        )
        found = arrays["w"].numpy()
        selected |= {client for client, model in enumerate(models) if (model == found).all()}
    return selected, wrong


print("flwr", version("flwr"))
for dtype in (np.float64, np.float32, np.float16):
    for size in (1e-2, 1e-4):
        selected, wrong = select(size, dtype)
        kind = "attackers" if min(selected) < 2 else "honest clients"
        if max(selected) == 0:
            kind = "client 0 alone"
        bad = "some" if 0 < wrong < 450 else {0: "none", 450: "all"}[wrong]
        print(f"{dtype.__name__}, updates of {size}: Krum returns {kind};", end=" ")
        print(f"squared distances that are not above 0, or not finite: {bad}")
PY
"$folder/env/bin/python" -W ignore "$folder/krum.py" | tee "$folder/output"
diff "$folder/output" - <<'SEEN'
flwr 1.42.0
float64, updates of 0.01: Krum returns honest clients; squared distances that are not above 0, or not finite: none
float64, updates of 0.0001: Krum returns honest clients; squared distances that are not above 0, or not finite: none
float32, updates of 0.01: Krum returns honest clients; squared distances that are not above 0, or not finite: none
float32, updates of 0.0001: Krum returns honest clients; squared distances that are not above 0, or not finite: some
float16, updates of 0.01: Krum returns client 0 alone; squared distances that are not above 0, or not finite: all
float16, updates of 0.0001: Krum returns client 0 alone; squared distances that are not above 0, or not finite: all
SEEN
