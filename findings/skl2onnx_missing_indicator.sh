#!/usr/bin/env bash
# skl2onnx: the columns that say which values were missing are lost, and onnxruntime gives a class other weights.
#
# SimpleImputer(add_indicator=True) of scikit-learn 1.9.1 adds a column of 0 and 1 for each feature that had missing
# values. What skl2onnx 1.20.0 writes of it returns the features alone, without a word. A linear classifier behind it
# has a weight for each of four columns; onnxruntime 1.32.0 reads the weights one after the other, two for each class,
# since two columns come, and says nothing either. So class 0 gets its own weights of the features, and class 1 gets the
# weights that class 0 has for the indicators. A pipeline whose answers scikit-learn has right in 85 % has then 46 %.
# With a network, a tree or a forest behind the imputer, running the file ends with an error instead.
#
# Needs Python 3.12 or later: PYTHON=python3.12 bash findings/skl2onnx_missing_indicator.sh
#
# Output seen (Python 3.12, x86-64):
#   skl2onnx 1.20.0, onnxruntime 1.32.0, scikit-learn 1.9.1
#   add_indicator=False: columns 2, in the file 2; right answers of scikit-learn 0.76, of the file 0.76
#   add_indicator=True: columns 4, in the file 2; right answers of scikit-learn 0.85, of the file 0.46
#   the file answers as if the weights of class 0 were those of both: 1.00 of its answers
set -euo pipefail
folder="$(mktemp -d)"
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet --disable-pip-version-check \
    "skl2onnx==1.20.0" "onnxruntime==1.32.0" "onnx==1.23.2" "scikit-learn==1.9.1" "numpy==2.5.5"
cat > "$folder/indicator.py" <<'PY'
from importlib.metadata import version

import numpy as np
import onnxruntime
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from skl2onnx import to_onnx

rng = np.random.default_rng(0)
labels = rng.integers(0, 2, 1000)
x = (rng.normal(size=(1000, 2)) + labels[:, None]).astype(np.float32)
x[rng.random(x.shape) < np.where(labels, 0.5, 0.1)[:, None]] = np.nan


def run(model):
    """Return what the file that skl2onnx writes of a model answers."""
    raw = to_onnx(model, x[:1]).SerializeToString()
    session = onnxruntime.InferenceSession(raw, providers=["CPUExecutionProvider"])
    return session.run(None, {session.get_inputs()[0].name: x})


print(f"skl2onnx {version('skl2onnx')}, onnxruntime {onnxruntime.__version__}", end=", ")
print(f"scikit-learn {version('scikit-learn')}")
for has_indicator in (False, True):
    imputer = SimpleImputer(add_indicator=has_indicator)
    model = make_pipeline(imputer, LogisticRegression()).fit(x, labels)
    found = run(model)[0]
    print(f"add_indicator={has_indicator}: columns {imputer.transform(x).shape[1]}", end="")
    print(f", in the file {run(imputer)[0].shape[1]}", end="; right answers of ")
    print(f"scikit-learn {(model.predict(x) == labels).mean():.2f}", end=", ")
    print(f"of the file {(found == labels).mean():.2f}")
w, b = model[1].coef_[0].astype(np.float32), model[1].intercept_[0]
features = SimpleImputer().fit_transform(x)
scores = features @ np.reshape([*-w, *w], (-1, 2))[:2].T + [-b, b]
print("the file answers as if the weights of class 0 were those of both:", end=" ")
print(f"{(found == scores.argmax(1)).mean():.2f} of its answers")
PY
"$folder/env/bin/python" -W ignore "$folder/indicator.py" | tee "$folder/output"
diff "$folder/output" - <<'SEEN'
skl2onnx 1.20.0, onnxruntime 1.32.0, scikit-learn 1.9.1
add_indicator=False: columns 2, in the file 2; right answers of scikit-learn 0.76, of the file 0.76
add_indicator=True: columns 4, in the file 2; right answers of scikit-learn 0.85, of the file 0.46
the file answers as if the weights of class 0 were those of both: 1.00 of its answers
SEEN
