#!/usr/bin/env bash
# ONNX: strict shape inference judges one graph differently in neighbouring releases.
#
# onnx 1.21.0 infers a shape for a Gemm of (N, 4) by (5, 3), whose factors do not fit, also with
# check_type, strict_mode and data_prop; onnx 1.22.0 refuses the same graph with an InferenceError
# ("Dimension mismatch", onnx 1.23.2). Nodes of one network that judge a stranger's model by shape inference
# must all be on one side of that line: pyproject.toml requires onnx 1.22. onnx.checker.check_model
# without full_check accepts the graph in both.
#
# Output seen (Python 3.11, x86-64):
#   onnx 1.21.0: accepted, output (N, 3); the checker accepts
#   onnx 1.22.0: refused; the checker accepts
set -euo pipefail
folder="$(mktemp -d)"
trap 'rm -rf "$folder"' EXIT
cat > "$folder/gemm.py" <<'PY'
import onnx
from onnx import TensorProto, helper, shape_inference

make = helper.make_tensor_value_info
graph = helper.make_graph(
    [helper.make_node("Gemm", ["x", "w"], ["y"])],
    "g",
    [make("x", TensorProto.FLOAT, ["N", 4]), make("w", TensorProto.FLOAT, [5, 3])],
    [make("y", TensorProto.FLOAT, ["N", 3])],
)
model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
try:
    shape_inference.infer_shapes(model, check_type=True, strict_mode=True, data_prop=True)
    judged = "accepted, output (N, 3)"
except shape_inference.InferenceError:
    judged = "refused"
try:
    onnx.checker.check_model(model)
    checked = "the checker accepts"
except onnx.checker.ValidationError:
    checked = "the checker refuses"
print(f"onnx {onnx.__version__}: {judged}; {checked}")
PY
for version in 1.21.0 1.22.0; do
    python3 -m venv "$folder/$version"
    "$folder/$version/bin/pip" install --quiet --disable-pip-version-check "onnx==$version" "numpy<3"
    "$folder/$version/bin/python" "$folder/gemm.py"
done | tee "$folder/output"
diff "$folder/output" - <<'SEEN'
onnx 1.21.0: accepted, output (N, 3); the checker accepts
onnx 1.22.0: refused; the checker accepts
SEEN
