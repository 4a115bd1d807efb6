"""Named arrays as bytes: weights and data sets as plain numbers, never as code.

A `TensorFile` holds names, kinds of numbers, shapes and little-endian bytes. Reading one runs
nothing and allocates no more than its own size.
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
MAX_DIMENSIONS: Final = 8
MAX_NAME_CHARS: Final = 256
"""The most characters of a tensor's name."""

Array = npt.NDArray[Any]

DTYPES: Final[dict[int, np.dtype[Any]]] = {
    artifact_pb2.TENSOR_DTYPE_FLOAT32: np.dtype("<f4"),
    artifact_pb2.TENSOR_DTYPE_UINT8: np.dtype("u1"),
    artifact_pb2.TENSOR_DTYPE_INT32: np.dtype("<i4"),
    artifact_pb2.TENSOR_DTYPE_INT64: np.dtype("<i8"),
}
"""The kinds of numbers, and how NumPy calls them."""


def encode_tensors(tensors: Mapping[str, Array]) -> bytes:
    """Write named arrays in the mapping's order.

    Kinds: float32, uint8, int32, int64, of either byte order. Raises `Refusal` (BAD_TENSOR)
    for any other kind, an empty array, or a bad name, count or shape.
    """
    _check_count(len(tensors))
    written = TensorFile()
    for name, array in tensors.items():
        _check_name(name)
        dtype = dtype_code(array, name)
        _check_shape(array.shape, name)
        data = np.ascontiguousarray(array, dtype=DTYPES[dtype]).tobytes()
        written.tensors.append(Tensor(name=name, dtype=dtype, shape=array.shape, data=data))
    return canonical.encode(written)


def decode_tensors(raw: bytes) -> dict[str, Array]:
    """Read named arrays, in order, as read-only views.

    Numbers may be anything, NaN included. Raises `Refusal` (BAD_TENSOR) when a name is empty,
    too long or there twice, a kind is unknown, or a shape does not fit the data.
    """
    message = canonical.decode(TensorFile, raw, code=DataCode.BAD_TENSOR)
    _check_count(len(message.tensors))
    arrays: dict[str, Array] = {}
    for tensor in message.tensors:
        _check_name(tensor.name)
        if tensor.name in arrays:
            raise _refused(tensor.name, "stands there twice")
        arrays[tensor.name] = _array(tensor)
    return arrays


def dtype_code(array: Array, name: str) -> TensorDtype.ValueType:
    """The kind of an array's numbers. Raises `Refusal` (BAD_TENSOR) for one without a code."""
    little = array.dtype.newbyteorder("<")
    for code, dtype in DTYPES.items():
        if little == dtype:
            return cast("TensorDtype.ValueType", code)
    raise _refused(name, f"holds {array.dtype}; float32, uint8, int32 or int64 can be stored")


def _array(tensor: Tensor) -> Array:
    dtype = DTYPES.get(tensor.dtype)
    if dtype is None:
        raise _refused(tensor.name, f"has the unknown dtype {tensor.dtype}")
    shape = tuple(tensor.shape)
    _check_shape(shape, tensor.name)
    # As Python integers, a product of large dimensions cannot wrap around.
    wanted = math.prod(shape) * dtype.itemsize
    if wanted != len(tensor.data):
        raise _refused(
            tensor.name,
            f"has {len(tensor.data)} bytes; its shape {shape} needs {wanted}",
            limit=str(wanted),
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


def _refused(name: str, what: str, limit: str = "") -> RefusalError:
    return RefusalError(
        DataCode.BAD_TENSOR, f"the tensor {name!r} {what}", field=f"tensors[{name}]", limit=limit
    )
