#!/usr/bin/env bash
# Flower: adaptive clipping moves the clipping norm away from the wanted quantile, to 0 or without end.
#
# Andrew et al. (2021) multiply the clipping norm by exp(-rate (b - quantile)), where b is the fraction of updates that
# are NOT clipped. flwr 1.42.0 puts in the fraction that IS clipped: its bit is true where an update was shortened. The
# more updates are clipped, the smaller the norm becomes. With updates of norms 1 to 10 and a quantile of 0.5 the
# norm should go to about 5 from any start. From below it goes to 0, and the updates with it; from above it grows
# without end, and the noise, which is proportional to it, too. It stays only where exactly half of the updates are
# clipped. The client-side strategy has the same rule, and its clients send the same bit.
#
# Output seen (Python 3.11, x86-64), clipping norm after 0, 1, 10 and 60 rounds without noise:
#   flwr 1.42.0
#   0.1 0.09048 0.03679 0.0002479
#   4.5 4.411 3.401 0.04615
#   5.5 5.5 5.5 5.5
#   100 110.5 271.8 4.034e+04
set -euo pipefail
folder="$(mktemp -d)"
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet --disable-pip-version-check "flwr==1.42.0"
cat > "$folder/clipping.py" <<'PY'
import logging
from importlib.metadata import version

import numpy as np
from flwr.common import Array, ArrayRecord, Message, MetricRecord, RecordDict
from flwr.serverapp.strategy import DifferentialPrivacyServerSideAdaptiveClipping, FedAvg
from flwr.supercore.task_identity import TaskIdentity

logging.disable(logging.CRITICAL)
TaskIdentity.run_id = TaskIdentity.node_id = TaskIdentity.task_id = 1  # as Flower's launcher does
ZERO = np.zeros(4, np.float32)


def reply(client):
    """Return a client's reply whose update has the norm `client`."""
    arrays = ArrayRecord({"w": Array(np.float32([client, 0, 0, 0]))})
    content = RecordDict({"arrays": arrays, "metrics": MetricRecord({"num-examples": 1})})
    request = Message(RecordDict(), dst_node_id=client, message_type="train")
    return Message(content, reply_to=request)


print("flwr", version("flwr"))
for start in (0.1, 4.5, 5.5, 100.0):
    strategy = DifferentialPrivacyServerSideAdaptiveClipping(
        FedAvg(),
        noise_multiplier=0.0,
        num_sampled_clients=10,
        initial_clipping_norm=start,
        target_clipped_quantile=0.5,
        clip_norm_lr=0.2,
        clipped_count_stddev=0.0,
    )
    norms = [start]
    for number in range(1, 61):
        strategy.current_arrays = ArrayRecord({"w": Array(ZERO)})
        strategy.aggregate_train(number, [reply(client) for client in range(1, 11)])
        norms.append(strategy.clipping_norm)
    print(*(f"{norms[number]:.4g}" for number in (0, 1, 10, 60)))
PY
"$folder/env/bin/python" "$folder/clipping.py" | tee "$folder/output"
diff "$folder/output" - <<'SEEN'
flwr 1.42.0
0.1 0.09048 0.03679 0.0002479
4.5 4.411 3.401 0.04615
5.5 5.5 5.5 5.5
100 110.5 271.8 4.034e+04
SEEN
