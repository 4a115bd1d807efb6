"""Named arrays as bytes: weights and data sets as plain numbers, never as code.

A `TensorFile` holds names, dtypes, shapes and little-endian numbers. Decoding one executes
nothing and allocates no more memory than the file's size.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Final, cast

import numpy as np
import numpy.typing as npt

from fedcoin.data.errors import DataCode, RefusalError
from fedcoin.data.messages import canonical
from fedcoin.v1 import artifact_pb2
from fedcoin.v1.artifact_pb2 import Tensor, TensorDtype, TensorFile

MAX_TENSORS: Final = 4_096
"""The largest number of arrays in a file."""

MAX_DIMENSIONS: Final = 8
"""The largest number of dimensions of an array."""

MAX_NAME_CHARS: Final = 256
"""The largest number of characters of an array's name."""

TENSOR_TAG: Final = 0x0A
"""The protobuf tag of a tensor in a TensorFile."""

DATA_TAG: Final = 0x22
"""The protobuf tag of a tensor's data, its last field."""

Array = npt.NDArray[Any]
"""An array of any shape and dtype."""

DTYPES: Final[dict[int, np.dtype[Any]]] = {
    artifact_pb2.TENSOR_DTYPE_FLOAT32: np.dtype("<f4"),
    artifact_pb2.TENSOR_DTYPE_UINT8: np.dtype("u1"),
    artifact_pb2.TENSOR_DTYPE_INT32: np.dtype("<i4"),
    artifact_pb2.TENSOR_DTYPE_INT64: np.dtype("<i8"),
}
"""NumPy's dtype for each value of the enum TensorDtype."""


def encode_tensors(tensors: Mapping[str, Array]) -> bytes:
    """Encode named arrays.

    Args:
        tensors: Names and arrays, in the order in which they are written. Dtypes: float32,
            uint8, int32 or int64, in either byte order. Shapes: up to 8 dimensions, each at
            least 1.

    Returns:
        The serialised TensorFile.

    Raises:
        RefusalError: BAD_TENSOR when there are no arrays or more than `MAX_TENSORS`, a name is
            empty or longer than `MAX_NAME_CHARS`, or a dtype or shape is none of those above.
    """
    _check_count(len(tensors))
    # Joined here, since protobuf would copy the numbers three times more.
    parts: list[bytes | Array] = []
    for name, array in tensors.items():
        _check_name(name)
        dtype = _dtype_code(array, name)
        _check_shape(array.shape, name)
        data = np.ascontiguousarray(array, dtype=DTYPES[dtype]).reshape(-1).view(np.uint8)
        header = canonical.encode(Tensor(name=name, dtype=dtype, shape=array.shape))
        header += bytes([DATA_TAG]) + _varint(data.nbytes)
        parts += [bytes([TENSOR_TAG]) + _varint(len(header) + data.nbytes) + header, data]
    return b"".join(parts)


def decode_tensors(raw: bytes) -> dict[str, Array]:
    """Decode named arrays. Their numbers are not checked: they may be NaN or infinite.

    Args:
        raw: The serialised TensorFile.

    Returns:
        Names and arrays, in the order of the file. The arrays are read-only views of `raw`.

    Raises:
        RefusalError: BAD_TENSOR when the bytes are not a TensorFile, a name is empty, longer than
            `MAX_NAME_CHARS` or used twice, a dtype is unknown, or a shape does not match the data.
    """
    message = canonical.decode(TensorFile, raw, code=DataCode.BAD_TENSOR)
    _check_count(len(message.tensors))
    arrays: dict[str, Array] = {}
    for tensor in message.tensors:
        _check_name(tensor.name)
        if tensor.name in arrays:
            raise _refused(tensor.name, "is there twice")
        arrays[tensor.name] = _array(tensor)
    return arrays


def _varint(number: int) -> bytes:
    """Write a number as protobuf does: seven bits in each byte, the lowest first."""
    groups = bytearray()
    while number > 0x7F:
        groups.append(number & 0x7F | 0x80)
        number >>= 7
    groups.append(number)
    return bytes(groups)


def _dtype_code(array: Array, name: str) -> TensorDtype.ValueType:
    """Find the enum value for an array's dtype.

    Args:
        array: The array.
        name: Its name, for the refusal.

    Returns:
        The value of TensorDtype.

    Raises:
        RefusalError: BAD_TENSOR when the dtype is none that a file can hold.
    """
    little = array.dtype.newbyteorder("<")
    for code, dtype in DTYPES.items():
        if little == dtype:
            return cast("TensorDtype.ValueType", code)
    raise _refused(name, f"has dtype {array.dtype}; float32, uint8, int32 and int64 are allowed")


def _array(tensor: Tensor) -> Array:
    dtype = DTYPES.get(tensor.dtype)
    if dtype is None:
        raise _refused(tensor.name, f"has the unknown dtype {tensor.dtype}")
    shape = tuple(tensor.shape)
    _check_shape(shape, tensor.name)
    # Computed with Python integers, which cannot overflow, whatever the dimensions.
    num_bytes = math.prod(shape) * dtype.itemsize
    if num_bytes != len(tensor.data):
        raise _refused(
            tensor.name,
            f"has {len(tensor.data)} bytes; its shape {shape} needs {num_bytes}",
            limit=str(num_bytes),
        )
    return np.frombuffer(tensor.data, dtype=dtype).reshape(shape)


def _check_count(count: int) -> None:
    if not 1 <= count <= MAX_TENSORS:
        raise RefusalError(
            DataCode.BAD_TENSOR,
            f"there are {count} tensors; there must be 1 to {MAX_TENSORS}",
            field="tensors",
            limit=f"1 to {MAX_TENSORS}",
        )


def _check_name(name: str) -> None:
    if not 1 <= len(name) <= MAX_NAME_CHARS:
        raise _refused(
            name[:40],
            f"has a name of {len(name)} characters; it must have 1 to {MAX_NAME_CHARS}",
            limit=f"1 to {MAX_NAME_CHARS}",
        )


def _check_shape(shape: tuple[int, ...], name: str) -> None:
    if len(shape) > MAX_DIMENSIONS:
        raise _refused(
            name,
            f"has {len(shape)} dimensions; at most {MAX_DIMENSIONS} are allowed",
            limit=str(MAX_DIMENSIONS),
        )
    if any(size < 1 for size in shape):
        raise _refused(name, f"has the shape {shape}; each dimension must be at least 1")


def _refused(name: str, fault: str, limit: str = "") -> RefusalError:
    return RefusalError(
        DataCode.BAD_TENSOR, f"the tensor {name!r} {fault}", field=f"tensors[{name}]", limit=limit
    )
