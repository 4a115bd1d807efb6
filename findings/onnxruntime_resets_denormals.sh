#!/usr/bin/env bash
# onnxruntime: creating the first session of a process turns flush-to-zero off in the calling thread.
#
# A process that sets FTZ and DAZ in MXCSR (here with the C library's fesetenv) loses both when it
# creates its first InferenceSession, because the default "0" of session.set_denormal_as_zero is written to the
# processor's control word rather than left alone. NumPy, or anything else in that thread, computes with slow
# subnormal numbers from then on. With the option "1" both stay on; later sessions change nothing.
#
# Output seen (onnxruntime 1.23.2, Python 3.11, x86-64):
#   default: before 8040, after 0
#   set_denormal_as_zero=1: before 8040, after 8040
set -euo pipefail
folder="$(mktemp -d)"
trap 'rm -rf "$folder"' EXIT
cat > "$folder/session.py" <<'PY'
import ctypes
import sys

import onnxruntime
from onnx import TensorProto, helper

library = ctypes.CDLL(None)


def control_bits(new=0):
    """Return the bits FTZ and DAZ of MXCSR, word 7 of glibc's fenv_t, after setting `new`."""
    environment = (ctypes.c_uint32 * 16)()
    library.fegetenv(environment)
    environment[7] |= new
    library.fesetenv(environment)
    return f"{environment[7] & 0x8040:x}"


make = helper.make_tensor_value_info
graph = helper.make_graph(
    [helper.make_node("Mul", ["x", "x"], ["y"])],
    "g",
    [make("x", TensorProto.FLOAT, [4])],
    [make("y", TensorProto.FLOAT, [4])],
)
model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
options = onnxruntime.SessionOptions()
if len(sys.argv) > 1:
    options.add_session_config_entry("session.set_denormal_as_zero", "1")
before = control_bits(0x8040)
onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
print(f"{'set_denormal_as_zero=1' if len(sys.argv) > 1 else 'default'}: before {before}, after {control_bits()}")
PY
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check "onnxruntime==1.23.2" "onnx==1.19.1" "numpy<3"
{
    "$folder/venv/bin/python" "$folder/session.py"
    "$folder/venv/bin/python" "$folder/session.py" set
} | tee "$folder/output"
diff "$folder/output" - <<'SEEN'
default: before 8040, after 0
set_denormal_as_zero=1: before 8040, after 8040
SEEN
