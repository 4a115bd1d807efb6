"""Arrays that stay in their file until they are read, for data larger than memory should hold."""

from __future__ import annotations

import math
import mmap
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from google.protobuf.message import DecodeError

from fedcoin.data.artifacts.tensors import (
    DATA_TAG,
    DTYPES,
    MAX_DIMENSIONS,
    MAX_NAME_CHARS,
    MAX_TENSORS,
    TENSOR_TAG,
    Array,
    decode_tensors,
)
from fedcoin.data.messages import canonical
from fedcoin.v1.artifact_pb2 import Tensor

_NAME, _DTYPE, _SHAPE = 0x0A, 0x10, 0x1A
"""The protobuf tags of a Tensor's fields before its data."""


class MappedArray:
    """An array in a memory-mapped file.

    `read` copies the whole array, and indexing by a slice or by row numbers copies these rows. Both
    release the file's pages at once, so that the process does not grow with the file.
    """

    def __init__(self, mapping: mmap.mmap, array: Array) -> None:
        """Wrap an array.

        Args:
            mapping: The memory-mapped file.
            array: A view of the mapping, of any shape and dtype.
        """
        self._mapping = mapping
        self._array = array

    @property
    def shape(self) -> tuple[int, ...]:
        """The array's shape."""
        return self._array.shape

    @property
    def ndim(self) -> int:
        """The number of the array's dimensions."""
        return self._array.ndim

    @property
    def dtype(self) -> np.dtype[Any]:
        """The array's dtype."""
        return self._array.dtype

    def __len__(self) -> int:
        return len(self._array)

    def __getitem__(self, rows: slice | npt.NDArray[np.int64]) -> Array:
        return self._copy(self._array[rows])

    def read(self) -> Array:
        """Copy the whole array into memory."""
        return self._copy(self._array)

    def _copy(self, part: Array) -> Array:
        copy = np.array(part)
        if hasattr(self._mapping, "madvise"):
            self._mapping.madvise(mmap.MADV_DONTNEED)
        return copy


def map_tensors(path: Path) -> Mapping[str, MappedArray | Array]:
    """Open the arrays of a file without reading their numbers.

    Accepts and refuses the same files as `tensors.decode_tensors`, with the same numbers.

    Args:
        path: The file, a serialised TensorFile; it must not change while the arrays are in use.

    Returns:
        Names and arrays, in the order of the file. The arrays are mapped; if the file's encoding
        differs from that of `encode_tensors`, they are decoded into memory instead.
    """
    if path.stat().st_size:
        with path.open("rb") as file:
            mapping = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        try:
            return _map_arrays(mapping)
        except (_UnexpectedEncodingError, DecodeError):
            pass
    # Decides whether the file is acceptable all the same, and raises the refusal if not.
    return decode_tensors(path.read_bytes())


class _UnexpectedEncodingError(Exception):
    """The bytes differ from what `encode_tensors` writes."""


def _map_arrays(mapping: mmap.mmap) -> dict[str, MappedArray | Array]:
    arrays: dict[str, MappedArray | Array] = {}
    offset = 0
    while offset < len(mapping):
        start, size = _read_length(mapping, offset, TENSOR_TAG)
        header, data_start, data_size = _read_header(mapping, start)
        offset = start + size
        dtype = DTYPES.get(header.dtype)
        is_new = header.name and header.name not in arrays and len(arrays) < MAX_TENSORS
        if not is_new or dtype is None or data_start + data_size != offset or offset > len(mapping):
            raise _UnexpectedEncodingError
        count = math.prod(header.shape)
        if not count or count * dtype.itemsize != data_size or len(header.shape) > MAX_DIMENSIONS:
            raise _UnexpectedEncodingError
        array = np.frombuffer(mapping, dtype, count, data_start).reshape(tuple(header.shape))
        arrays[header.name] = MappedArray(mapping, array)
    return arrays


def _read_header(mapping: mmap.mmap, start: int) -> tuple[Tensor, int, int]:
    """Read a tensor without its data; return it with the offset and the size of its data."""
    offset = start
    while _byte_at(mapping, offset) in (_NAME, _SHAPE, _DTYPE):
        if mapping[offset] == _DTYPE:
            _, offset = _read_varint(mapping, offset + 1)
        else:
            field_start, size = _read_length(mapping, offset, mapping[offset])
            offset = field_start + size
    raw = mapping[start:offset]
    header = Tensor.FromString(raw)
    if canonical.encode(header) != raw or len(header.name) > MAX_NAME_CHARS:
        raise _UnexpectedEncodingError
    return header, *_read_length(mapping, offset, DATA_TAG)


def _read_length(mapping: mmap.mmap, offset: int, tag: int) -> tuple[int, int]:
    """Read tag and length of a field of bytes; return the offset of its content and its size."""
    if _byte_at(mapping, offset) != tag:
        raise _UnexpectedEncodingError
    size, content = _read_varint(mapping, offset + 1)
    return content, size


def _read_varint(mapping: mmap.mmap, offset: int) -> tuple[int, int]:
    """Read a varint (seven bits in each byte, lowest first); return it and the offset behind it."""
    value = shift = 0
    while (byte := _byte_at(mapping, offset)) & 0x80:
        value |= (byte & 0x7F) << shift
        shift, offset = shift + 7, offset + 1
    if (shift and not byte) or shift > 63:
        raise _UnexpectedEncodingError
    return value | byte << shift, offset + 1


def _byte_at(mapping: mmap.mmap, offset: int) -> int:
    if offset >= len(mapping):
        raise _UnexpectedEncodingError
    return mapping[offset]
