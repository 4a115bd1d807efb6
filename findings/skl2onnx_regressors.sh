#!/usr/bin/env bash
# skl2onnx: boosted trees for counts return logarithms, and a network of two targets puts them one below the other.
#
# HistGradientBoostingRegressor of scikit-learn 1.9.1 adds up logarithms where its loss is "poisson" or "gamma", and
# predicts their exponential. skl2onnx 1.20.0 writes the sum alone. PoissonRegressor, with the same link, is right. Of
# an MLPRegressor of two targets it writes one column whose rows are in turn the first and the second target; whoever
# reads an example's row has another example's. Neither writing nor running these files says a word. (protobuf is held
# at 6.33: with the version that pip takes without this, writing trees ends with a TypeError.)
#
# Needs Python 3.12 or later: PYTHON=python3.12 bash findings/skl2onnx_regressors.sh
#
# Output seen (Python 3.12, x86-64):
#   skl2onnx 1.20.0, onnxruntime 1.32.0, scikit-learn 1.9.1
#   PoissonRegressor: R squared 0.80, of the file 0.80; it returns the same
#   HistGradientBoostingRegressor, squared_error: R squared 0.87, of the file 0.87; it returns the same
#   HistGradientBoostingRegressor, poisson: R squared 0.88, of the file -0.34; it returns the logarithms
#   HistGradientBoostingRegressor, gamma: R squared 0.86, of the file -0.34; it returns the logarithms
#   LinearRegression, 2 targets: R squared 1.00, of the file 1.00; it returns the same
#   MLPRegressor, 2 targets: R squared 0.99, shape (1000, 2), of the file (2000, 1), its rows as first target -0.86
set -euo pipefail
folder="$(mktemp -d)"
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet --disable-pip-version-check \
    "skl2onnx==1.20.0" "onnxruntime==1.32.0" "onnx==1.23.2" "scikit-learn==1.9.1" "numpy==2.5.5" "protobuf==6.33.6"
cat > "$folder/regressors.py" <<'PY'
from importlib.metadata import version

import numpy as np
import onnxruntime
from sklearn.ensemble import HistGradientBoostingRegressor
from sklearn.linear_model import LinearRegression, PoissonRegressor
from sklearn.metrics import r2_score
from sklearn.neural_network import MLPRegressor
from skl2onnx import to_onnx

rng = np.random.default_rng(0)
x = rng.normal(size=(1000, 2)).astype(np.float32)


def show(name, model, targets):
    """Print how well a model and the file that skl2onnx writes of it explain the targets."""
    known = model.fit(x, targets).predict(x)
    session = onnxruntime.InferenceSession(
        to_onnx(model, x[:1]).SerializeToString(), providers=["CPUExecutionProvider"]
    )
    found = session.run(None, {session.get_inputs()[0].name: x})[0]
    print(f"{name}: R squared {r2_score(targets, known):.2f}", end=", ")
    if len(found) != len(x):
        print(f"shape {known.shape}, of the file {found.shape}", end=", ")
        print(f"its rows as first target {r2_score(targets[:, 0], found[: len(x), 0]):.2f}")
        return
    print(f"of the file {r2_score(targets, found):.2f}", end="; ")
    is_equal = np.allclose(found.ravel(), known.ravel(), 1e-3, 1e-3)
    is_log = not is_equal and np.allclose(np.exp(found.ravel()), known, 1e-3, 1e-3)
    print("it returns", {(True, False): "the same", (False, True): "the logarithms"}[is_equal, is_log])


print(f"skl2onnx {version('skl2onnx')}, onnxruntime {onnxruntime.__version__}", end=", ")
print(f"scikit-learn {version('scikit-learn')}")
counts = rng.poisson(np.exp(1 + x[:, 0]))
show("PoissonRegressor", PoissonRegressor(), counts)
for loss in ("squared_error", "poisson", "gamma"):
    model = HistGradientBoostingRegressor(loss=loss, max_iter=50)
    show(f"HistGradientBoostingRegressor, {loss}", model, counts + 1)
two = np.c_[x @ [1, 1], x @ [1, -1]]
show("LinearRegression, 2 targets", LinearRegression(), two)
network = MLPRegressor(hidden_layer_sizes=(8,), max_iter=500, random_state=0)
show("MLPRegressor, 2 targets", network, two)
PY
"$folder/env/bin/python" -W ignore "$folder/regressors.py" | tee "$folder/output"
diff "$folder/output" - <<'SEEN'
skl2onnx 1.20.0, onnxruntime 1.32.0, scikit-learn 1.9.1
PoissonRegressor: R squared 0.80, of the file 0.80; it returns the same
HistGradientBoostingRegressor, squared_error: R squared 0.87, of the file 0.87; it returns the same
HistGradientBoostingRegressor, poisson: R squared 0.88, of the file -0.34; it returns the logarithms
HistGradientBoostingRegressor, gamma: R squared 0.86, of the file -0.34; it returns the logarithms
LinearRegression, 2 targets: R squared 1.00, of the file 1.00; it returns the same
MLPRegressor, 2 targets: R squared 0.99, shape (1000, 2), of the file (2000, 1), its rows as first target -0.86
SEEN
