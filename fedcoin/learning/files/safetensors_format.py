"""Read and write `.safetensors` files: a JSON header, then the numbers.

The format: 8 bytes with the header's length (little-endian), the header in JSON, then the arrays'
bytes in C order, little-endian. For each array the header has `dtype`, `shape` and `data_offsets`
(begin and end, counted from the end of the header). See
https://github.com/huggingface/safetensors#format
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from fedcoin.learning.files.stored_arrays import (
    BFLOAT16,
    Array,
    StoredArray,
    StoredArrays,
    check_count,
    check_dimensions,
    refusing_damage,
    unreadable,
    widen_bfloat16,
)

MAX_HEADER_BYTES = 16 << 20
"""The largest size of a header, in bytes."""

_KIND = "a safetensors file"
_DTYPES = {
    "BOOL": "?", "U8": "u1", "I8": "i1", "U16": "<u2", "I16": "<i2", "U32": "<u4", "I32": "<i4",
    "U64": "<u8", "I64": "<i8", "F16": "<f2", "F32": "<f4", "F64": "<f8", "BF16": "<u2",
}  # fmt: skip
_NAMES = {
    np.dtype(code).newbyteorder("=").str: name for name, code in _DTYPES.items() if name != "BF16"
}


@contextmanager
def open_safetensors(path: Path) -> Iterator[StoredArrays]:
    """Open a `.safetensors` file.

    Args:
        path: The `.safetensors` file.

    Yields:
        Its arrays.

    Raises:
        RefusalError: UNREADABLE_FILE when the header is damaged, has more than `MAX_HEADER_BYTES`,
            or does not fit the file.
    """
    with refusing_damage(path, _KIND), path.open("rb") as file:
        size = path.stat().st_size
        length = int.from_bytes(file.read(8), "little")
        if length > min(MAX_HEADER_BYTES, size - 8):
            raise unreadable(
                path,
                f"is a safetensors file that is damaged: its header has {length} bytes; the limit "
                f"is {min(MAX_HEADER_BYTES, size - 8)}",
            )
        header = json.loads(file.read(length))
        arrays = {
            str(name): _describe(path, str(name), entry, 8 + length, size)
            for name, entry in header.items()
            if name != "__metadata__"
        }
        check_count(path, len(arrays))
    yield StoredArrays(path, "safetensors", arrays)


def write_safetensors(path: Path, arrays: dict[str, Array]) -> None:
    """Write arrays as a `.safetensors` file, whatever their memory layout and byte order.

    Args:
        path: The file; an existing one is replaced.
        arrays: The arrays by name: bool, integers or floating-point numbers of up to 64 bits.

    Raises:
        RefusalError: WRONG_DTYPE when an array has another dtype.
        OSError: The file cannot be written.
    """
    header: dict[str, Any] = {}
    offset = 0
    for name, array in arrays.items():
        end = offset + array.size * array.dtype.itemsize
        header[name] = {
            "dtype": _NAMES[array.dtype.newbyteorder("=").str],
            "shape": list(array.shape),
            "data_offsets": [offset, end],
        }
        offset = end
    raw = json.dumps(header, separators=(",", ":")).encode()
    raw += b" " * (-len(raw) % 8)
    with path.open("wb") as file:
        file.write(len(raw).to_bytes(8, "little") + raw)
        for array in arrays.values():
            # `tobytes` writes C order for transposed and strided arrays, too.
            file.write(array.astype(array.dtype.newbyteorder("<"), copy=False).tobytes("C"))


def _describe(path: Path, name: str, entry: Any, start: int, size: int) -> StoredArray:
    code, shape = entry["dtype"], tuple(entry["shape"])
    begin, end = entry["data_offsets"]
    if code not in _DTYPES:
        raise unreadable(
            path, f"holds {name[:64]} as {str(code)[:16]}; save it as F32, F16 or BF16"
        )
    dtype = np.dtype(_DTYPES[code])
    if not all(type(number) is int for number in (*shape, begin, end)):
        raise unreadable(path, f"states a shape or offset that is no integer for {name[:64]}")
    check_dimensions(path, name, shape, dtype)
    num_bytes = math.prod(shape) * dtype.itemsize
    if not (0 <= begin <= end <= size - start and end - begin == num_bytes):
        raise unreadable(
            path,
            f"is a safetensors file that is damaged or cut: {name[:64]} needs {num_bytes} bytes "
            f"and is said to be at {begin} to {end} of {size - start}",
        )

    def load() -> Array:
        with refusing_damage(path, _KIND), path.open("rb") as file:
            file.seek(start + begin)
            raw = file.read(num_bytes)
            if code == "BF16":
                return widen_bfloat16(raw, shape)
            numbers = np.frombuffer(raw, dtype).reshape(shape)
            return numbers.astype(dtype.newbyteorder("="), copy=False)

    if code == "BF16":
        return StoredArray(shape, np.dtype(np.float32), BFLOAT16, load)
    return StoredArray(shape, dtype.newbyteorder("="), dtype.name, load)
