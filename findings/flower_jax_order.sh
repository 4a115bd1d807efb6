#!/usr/bin/env bash
# Flower: momentum, QFedAvg and clipping pair arrays by position, and what JAX computes comes back in another order.
#
# JAX sorts the keys of a dict: what a jitted function (or jax.tree.map) returns has the names of what it got in
# alphabetical order. FedAvg, FedAdam, FedYogi, FedAdagrad, FedMedian and FedTrimmedAvg of flwr 1.42.0 pair arrays by
# name. FedAvgM, QFedAvg and the wrappers of differential privacy (server-side clipping here) pair the server's first
# array with a client's first, and check that the names are the same as sets. Where arrays have one shape, as in attention
# or in equal layers, nothing fails: QFedAvg and clipping put the weights of one array under the name of another, and
# FedAvgM's momentum adds their differences. The clients here only shrink each weight by a thousandth in a round.
#
# Needs Python 3.12 or later, as JAX 0.12 does: PYTHON=python3.12 bash findings/flower_jax_order.sh
#
# Output seen (Python 3.12, x86-64), what each array holds after one round; weights are normal with deviation 1:
#   flwr 1.42.0, jax 0.12.0.1: query, key, value, out come back as key, out, query, value
#   FedAvg: query holds query, key holds key, value holds value, out holds out, mean change of a weight in 10 rounds 0.008
#   FedAdam: query holds query, key holds key, value holds value, out holds out, mean change of a weight in 10 rounds 0.001
#   QFedAvg, q 0: query holds key, key holds out, value holds query, out holds value, mean change of a weight in 10 rounds 1.137
#   FedAvgM: query holds query, key holds key, value holds value, out holds out, mean change of a weight in 10 rounds 6.511
#   FedAvg, clipped, no noise: query holds value, key holds query, value holds out, out holds key, mean change of a weight in 10 rounds 1.147
set -euo pipefail
folder="$(mktemp -d)"
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet --disable-pip-version-check "flwr==1.42.0" "jax==0.12.0.1" "jaxlib==0.12.0.1"
cat > "$folder/order.py" <<'PY'
import logging
from importlib.metadata import version

import jax
import numpy as np
from flwr.common import Array, ArrayRecord, Message, MetricRecord, RecordDict
from flwr.serverapp.strategy import (
    DifferentialPrivacyServerSideFixedClipping,
    FedAdam,
    FedAvg,
    FedAvgM,
    QFedAvg,
)
from flwr.supercore.task_identity import TaskIdentity

logging.disable(logging.CRITICAL)
TaskIdentity.run_id = TaskIdentity.node_id = TaskIdentity.task_id = 1  # as Flower's launcher does
NAMES = ("query", "key", "value", "out")
rng = np.random.default_rng(0)
START = {name: rng.normal(size=(8, 8)).astype(np.float32) for name in NAMES}
clip = DifferentialPrivacyServerSideFixedClipping


@jax.jit
def train(weights):
    """Return weights after a small step, under the names that they came with."""
    return {name: 0.999 * weights[name] for name in weights}


def reply(client, arrays):
    """Return a client's reply to the global model."""
    weights = train({name: array.numpy() for name, array in arrays.items()})
    record = ArrayRecord({name: Array(np.asarray(array)) for name, array in weights.items()})
    metrics = MetricRecord({"num-examples": 1, "train_loss": 1.0})
    request = Message(RecordDict(), dst_node_id=client + 1, message_type="train")
    return Message(RecordDict({"arrays": record, "metrics": metrics}), reply_to=request)


def show(name, strategy):
    """Run ten rounds, and print whose weights each array holds after one, and what they become."""
    arrays = ArrayRecord({name: Array(START[name]) for name in NAMES})
    for number in range(1, 11):
        # What configure_train keeps
        if isinstance(strategy, FedAdam):
            strategy.current_arrays = {key: array.numpy() for key, array in arrays.items()}
        elif not isinstance(strategy, FedAvgM) or number == 1:
            strategy.current_arrays = arrays.copy()
        replies = [reply(client, arrays) for client in range(4)]
        arrays, _ = strategy.aggregate_train(number, replies)
        if number == 1:
            print(f"{name}:", end=" ")
            for key in NAMES:
                gaps = {of: np.abs(arrays[key].numpy() - START[of]).mean() for of in NAMES}
                print(f"{key} holds {min(gaps, key=gaps.get)}", end=", ")
    change = np.mean([np.abs(arrays[key].numpy() - START[key]).mean() for key in NAMES])
    print(f"mean change of a weight in 10 rounds {change:.3f}")


print(f"flwr {version('flwr')}, jax {jax.__version__}: {', '.join(NAMES)}", end=" ")
print(f"come back as {', '.join(train(START))}")
show("FedAvg", FedAvg())
show("FedAdam", FedAdam(eta=0.001))
show("QFedAvg, q 0", QFedAvg(client_learning_rate=0.1, q=0.0))
show("FedAvgM", FedAvgM(server_momentum=0.9))
show("FedAvg, clipped, no noise", clip(FedAvg(), 0.0, 1.0, 4))
PY
"$folder/env/bin/python" -W ignore "$folder/order.py" | tee "$folder/output"
diff "$folder/output" - <<'SEEN'
flwr 1.42.0, jax 0.12.0.1: query, key, value, out come back as key, out, query, value
FedAvg: query holds query, key holds key, value holds value, out holds out, mean change of a weight in 10 rounds 0.008
FedAdam: query holds query, key holds key, value holds value, out holds out, mean change of a weight in 10 rounds 0.001
QFedAvg, q 0: query holds key, key holds out, value holds query, out holds value, mean change of a weight in 10 rounds 1.137
FedAvgM: query holds query, key holds key, value holds value, out holds out, mean change of a weight in 10 rounds 6.511
FedAvg, clipped, no noise: query holds value, key holds query, value holds out, out holds key, mean change of a weight in 10 rounds 1.147
SEEN
