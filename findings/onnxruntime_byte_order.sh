#!/usr/bin/env bash
# onnxruntime: arrays of the other byte order are read as they lie, and no error is raised.
#
# onnxruntime 1.32.0 looks at a NumPy array's kind of number and not at its byte order: it takes big-endian arrays
# (`>f4`), as they come from IDX and FITS files, from HDF5 files of other machines and from np.frombuffer, for native
# ones. 1.0 becomes 4.6e-41, and the integer 1 becomes 72057594037927936. This holds for run, OrtValue and
# io binding, and for arrays in any memory order, which are otherwise converted. PyTorch, JAX, Arrow's arrays, SciPy's
# sparse matrices and onnx.numpy_helper refuse such arrays; NumPy computes with them; a scikit-learn model
# therefore predicts right where its own ONNX file does not. `array.astype(array.dtype.newbyteorder("="))` avoids it.
#
# Output seen (Python 3.11, x86-64):
#   onnxruntime 1.32.0
#   run, >f4: [4.6006e-41 8.9683e-44]
#   run, >i8: [ 72057594037927936 144115188075855872]
#   run, native: [1. 2.]
#   OrtValue, >f4: [4.6006e-41 8.9683e-44]
#   io binding, >f4: [4.6006e-41 8.9683e-44]
#   onnx.numpy_helper, >f4: refused
set -euo pipefail
folder="$(mktemp -d)"
trap 'rm -rf "$folder"' EXIT
cat > "$folder/bytes.py" <<'PY'
import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper


def open_identity(kind):
    """Return a session that returns its input."""
    make = helper.make_tensor_value_info
    graph = helper.make_graph(
        [helper.make_node("Identity", ["x"], ["y"])],
        "g",
        [make("x", kind, ["n"])],
        [make("y", kind, ["n"])],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    return onnxruntime.InferenceSession(
        model.SerializeToString(), providers=["CPUExecutionProvider"]
    )


print("onnxruntime", onnxruntime.__version__)
floats, integers = open_identity(TensorProto.FLOAT), open_identity(TensorProto.INT64)
big = np.array([1, 2], ">f4")
print("run, >f4:", floats.run(None, {"x": big})[0])
print("run, >i8:", integers.run(None, {"x": big.astype(">i8")})[0])
print("run, native:", floats.run(None, {"x": big.astype("=f4")})[0])
print("OrtValue, >f4:", onnxruntime.OrtValue.ortvalue_from_numpy(big).numpy())
binding = floats.io_binding()
binding.bind_cpu_input("x", big)
binding.bind_output("y")
floats.run_with_iobinding(binding)
print("io binding, >f4:", binding.copy_outputs_to_cpu()[0])
try:
    onnx.numpy_helper.from_array(big)
except ValueError:
    print("onnx.numpy_helper, >f4: refused")
PY
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet --disable-pip-version-check \
    "onnxruntime==1.32.0" "onnx==1.23.2" "numpy==2.4.6"
"$folder/env/bin/python" "$folder/bytes.py" | tee "$folder/output"
diff "$folder/output" - <<'SEEN'
onnxruntime 1.32.0
run, >f4: [4.6006e-41 8.9683e-44]
run, >i8: [ 72057594037927936 144115188075855872]
run, native: [1. 2.]
OrtValue, >f4: [4.6006e-41 8.9683e-44]
io binding, >f4: [4.6006e-41 8.9683e-44]
onnx.numpy_helper, >f4: refused
SEEN
