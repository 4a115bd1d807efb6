#!/usr/bin/env bash
# Keras: set_weights on an adapted Normalization changes the weights, and no output.
#
# keras 3.15.1 derives what Normalization subtracts and divides by from its weights in adapt() and
# finalize_state() alone. A federated client that calls model.set_weights(global_weights) returns
# the global mean and variance from get_weights(), and goes on computing with its own, until
# finalize_state() is called. BatchNormalization, which has the same weights, follows at once.
#
# Output seen (Python 3.11, x86-64, jax 0.8.1; with TensorFlow 2.21 Normalization did the same):
#   keras 3.15.1
#   after adapt: [[-1.0, -1.0], [1.0, 1.0]]
#   after set_weights of mean 0, variance 1: [[-1.0, -1.0], [1.0, 1.0]]
#   get_weights: [[0.0, 0.0], [1.0, 1.0]]
#   after finalize_state: [[1.0, 2.0], [3.0, 4.0]]
#   BatchNormalization after set_weights of mean 1, variance 1: [[0.0, 1.0], [2.0, 3.0]]
set -euo pipefail
folder="$(mktemp -d)"
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet --disable-pip-version-check "keras==3.15.1" "jax==0.8.1"
cat > "$folder/weights.py" <<'PY'
import keras
import numpy as np

x = np.array([[1, 2], [3, 4]], np.float32)


def outputs(model):
    return np.round(np.asarray(model(x)), 3).tolist()


print("keras", keras.__version__)
model = keras.Sequential([keras.Input((2,)), keras.layers.Normalization()])
model.layers[0].adapt(x)
print("after adapt:", outputs(model))
mean, variance, *counts = model.get_weights()
model.set_weights([np.zeros_like(mean), np.ones_like(variance), *counts])
print("after set_weights of mean 0, variance 1:", outputs(model))
print("get_weights:", [weight.tolist() for weight in model.get_weights()[:2]])
model.layers[0].finalize_state()
print("after finalize_state:", outputs(model))
model = keras.Sequential([keras.Input((2,)), keras.layers.BatchNormalization(epsilon=1e-9)])
gamma, beta, mean, variance = model.get_weights()
model.set_weights([gamma, beta, np.ones_like(mean), np.ones_like(variance)])
print("BatchNormalization after set_weights of mean 1, variance 1:", outputs(model))
PY
KERAS_BACKEND=jax "$folder/env/bin/python" "$folder/weights.py" | tee "$folder/output"
diff "$folder/output" - <<'SEEN'
keras 3.15.1
after adapt: [[-1.0, -1.0], [1.0, 1.0]]
after set_weights of mean 0, variance 1: [[-1.0, -1.0], [1.0, 1.0]]
get_weights: [[0.0, 0.0], [1.0, 1.0]]
after finalize_state: [[1.0, 2.0], [3.0, 4.0]]
BatchNormalization after set_weights of mean 1, variance 1: [[0.0, 1.0], [2.0, 3.0]]
SEEN
