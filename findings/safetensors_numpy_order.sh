#!/usr/bin/env bash
# safetensors (NumPy): a transposed array is saved with its shape and scrambled numbers.
#
# safetensors.numpy.save and save_file of 0.8.0 write an array's memory as it lies, under the array's shape. Up to
# 0.7.0 they wrote the array's numbers in C order. A kernel that is transposed on its way from Keras to PyTorch
# (`kernel.T`), an array in Fortran order and a slice with steps are read back with the right names, shapes and
# dtypes, and with other numbers, without an error or a warning. Both docstrings ask for "contiguous and dense" tensors;
# an array in Fortran order is that. Arrays of another byte order are copied first, which keeps their order in memory.
# np.ascontiguousarray before saving avoids it.
#
# Output seen (Python 3.11, x86-64, NumPy 2.4.6):
#   safetensors 0.7.0
#   [[0, 1, 2], [3, 4, 5]] in C order: [[0, 1, 2], [3, 4, 5]]
#   the same in Fortran order: [[0, 1, 2], [3, 4, 5]]
#   transposed: [[0, 3], [1, 4], [2, 5]]
#   every second column: [[0, 2], [3, 5]]
#   transposed, after ascontiguousarray: [[0, 3], [1, 4], [2, 5]]
#   safetensors 0.8.0
#   [[0, 1, 2], [3, 4, 5]] in C order: [[0, 1, 2], [3, 4, 5]]
#   the same in Fortran order: [[0, 3, 1], [4, 2, 5]]
#   transposed: [[0, 1], [2, 3], [4, 5]]
#   every second column: [[0, 1], [2, 3]]
#   transposed, after ascontiguousarray: [[0, 3], [1, 4], [2, 5]]
set -euo pipefail
folder="$(mktemp -d)"
trap 'rm -rf "$folder"' EXIT
cat > "$folder/order.py" <<'PY'
import numpy as np
import safetensors
from safetensors.numpy import load, save

kernel = np.arange(6, dtype=np.int32).reshape(2, 3)
print("safetensors", safetensors.__version__)
for name, array in {
    "[[0, 1, 2], [3, 4, 5]] in C order": kernel,
    "the same in Fortran order": np.asfortranarray(kernel),
    "transposed": kernel.T,
    "every second column": kernel[:, ::2],
    "transposed, after ascontiguousarray": np.ascontiguousarray(kernel.T),
}.items():
    print(f"{name}: {load(save({'w': array}))['w'].tolist()}")
PY
for version in 0.7.0 0.8.0; do
    python3 -m venv "$folder/$version"
    "$folder/$version/bin/pip" install --quiet --disable-pip-version-check \
        "safetensors==$version" "numpy==2.4.6"
    "$folder/$version/bin/python" "$folder/order.py"
done | tee "$folder/output"
diff "$folder/output" - <<'SEEN'
safetensors 0.7.0
[[0, 1, 2], [3, 4, 5]] in C order: [[0, 1, 2], [3, 4, 5]]
the same in Fortran order: [[0, 1, 2], [3, 4, 5]]
transposed: [[0, 3], [1, 4], [2, 5]]
every second column: [[0, 2], [3, 5]]
transposed, after ascontiguousarray: [[0, 3], [1, 4], [2, 5]]
safetensors 0.8.0
[[0, 1, 2], [3, 4, 5]] in C order: [[0, 1, 2], [3, 4, 5]]
the same in Fortran order: [[0, 3, 1], [4, 2, 5]]
transposed: [[0, 1], [2, 3], [4, 5]]
every second column: [[0, 1], [2, 3]]
transposed, after ascontiguousarray: [[0, 3], [1, 4], [2, 5]]
SEEN
