#!/usr/bin/env bash
# ONNX: the reference evaluator computes LRN and GlobalMaxPool wrongly outside the standard's own test cases.
#
# In onnx 1.23.2 onnx.reference.ReferenceEvaluator normalises as many channels of an LRN as the batch has images,
# since it loops over the batch's length. It returns all other channels unchanged, and raises an IndexError where
# there are more images than channels. Its GlobalMaxPool always pools over two axes: for sequences, (N, C, L), over
# channels and steps, with an output (N, 1); for volumes, (N, C, D, H, W), not over D. Both are right for the shapes of
# ONNX's node tests, (5, 5, 5, 5) for LRN and (1, 3, 5, 5) for GlobalMaxPool. onnxruntime computes both as the standard
# says. GlobalAveragePool is right in both.
#
# Output seen (Python 3.11, x86-64):
#   onnx 1.23.2, onnxruntime 1.32.0
#   LRN of (1, 5, 4, 4): 1 of 5 channels agree
#   LRN of (3, 5, 4, 4): 3 of 5 channels agree
#   LRN of (5, 5, 4, 4): 5 of 5 channels agree
#   LRN of (8, 5, 4, 4): index 5 is out of bounds for axis 1 with size 5
#   GlobalMaxPool of (2, 3, 4): shapes (2, 1) and (2, 3, 1)
#   GlobalMaxPool of (2, 3, 4, 4): 3 of 3 channels agree
#   GlobalMaxPool of (2, 3, 4, 4, 4): shapes (2, 3, 4, 1, 1, 1) and (2, 3, 1, 1, 1)
#   GlobalAveragePool of (2, 3, 4): 3 of 3 channels agree
#   GlobalAveragePool of (2, 3, 4, 4): 3 of 3 channels agree
#   GlobalAveragePool of (2, 3, 4, 4, 4): 3 of 3 channels agree
set -euo pipefail
folder="$(mktemp -d)"
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet --disable-pip-version-check \
    "onnx==1.23.2" "onnxruntime==1.32.0" "numpy==2.4.6"
cat > "$folder/shapes.py" <<'PY'
import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper
from onnx.reference import ReferenceEvaluator


def compare(operator, shape, **attributes):
    """Print what both make of one operator, channel by channel."""
    x = np.random.default_rng(0).uniform(5, 9, shape).astype(np.float32)
    make = helper.make_tensor_value_info
    graph = helper.make_graph(
        [helper.make_node(operator, ["x"], ["y"], **attributes)],
        "g",
        [make("x", TensorProto.FLOAT, shape)],
        [make("y", TensorProto.FLOAT, None)],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    (seen,) = session.run(None, {"x": x})
    try:
        (expected,) = ReferenceEvaluator(model).run(None, {"x": x})
    except IndexError as error:
        print(f"{operator} of {shape}: {error}")
        return
    answer = f"shapes {expected.shape} and {seen.shape}"
    if expected.shape == seen.shape:
        axes = tuple(axis for axis in range(seen.ndim) if axis != 1)
        agree = np.isclose(expected, seen, rtol=1e-4, atol=0).all(axis=axes)
        answer = f"{agree.sum()} of {len(agree)} channels agree"
    print(f"{operator} of {shape}: {answer}")


print(f"onnx {onnx.__version__}, onnxruntime {onnxruntime.__version__}")
for images in (1, 3, 5, 8):
    compare("LRN", (images, 5, 4, 4), size=3, alpha=1.0)
for operator in ("GlobalMaxPool", "GlobalAveragePool"):
    for shape in ((2, 3, 4), (2, 3, 4, 4), (2, 3, 4, 4, 4)):
        compare(operator, shape)
PY
"$folder/env/bin/python" "$folder/shapes.py" | tee "$folder/output"
diff "$folder/output" - <<'SEEN'
onnx 1.23.2, onnxruntime 1.32.0
LRN of (1, 5, 4, 4): 1 of 5 channels agree
LRN of (3, 5, 4, 4): 3 of 5 channels agree
LRN of (5, 5, 4, 4): 5 of 5 channels agree
LRN of (8, 5, 4, 4): index 5 is out of bounds for axis 1 with size 5
GlobalMaxPool of (2, 3, 4): shapes (2, 1) and (2, 3, 1)
GlobalMaxPool of (2, 3, 4, 4): 3 of 3 channels agree
GlobalMaxPool of (2, 3, 4, 4, 4): shapes (2, 3, 4, 1, 1, 1) and (2, 3, 1, 1, 1)
GlobalAveragePool of (2, 3, 4): 3 of 3 channels agree
GlobalAveragePool of (2, 3, 4, 4): 3 of 3 channels agree
GlobalAveragePool of (2, 3, 4, 4, 4): 3 of 3 channels agree
SEEN
