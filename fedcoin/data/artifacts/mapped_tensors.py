"""Arrays that stay in their file until they are read: for what need not be in memory as a whole."""

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
    DTYPES,
    MAX_DIMENSIONS,
    MAX_NAME_CHARS,
    MAX_TENSORS,
    Array,
    decode_tensors,
)
from fedcoin.data.messages import canonical
from fedcoin.v1.artifact_pb2 import Tensor

_TENSOR, _NAME, _DTYPE, _SHAPE, _DATA = 0x0A, 0x0A, 0x10, 0x1A, 0x22
"""Protobuf's tags: of a tensor in its file, and of a tensor's fields."""


class MappedArray:
    """An array in a file. What is read of it is copied; its pages are given back at once."""

    def __init__(self, mapping: mmap.mmap, array: Array) -> None:
        self._mapping = mapping
        self._array = array

    @property
    def shape(self) -> tuple[int, ...]:
        """The array's."""
        return self._array.shape

    @property
    def ndim(self) -> int:
        """The array's."""
        return self._array.ndim

    @property
    def dtype(self) -> np.dtype[Any]:
        """The array's."""
        return self._array.dtype

    def __len__(self) -> int:
        return len(self._array)

    def __getitem__(self, places: slice | npt.NDArray[np.int64]) -> Array:
        """A copy of some of its rows."""
        return self._copied(self._array[places])

    def read(self) -> Array:
        """A copy of all of it."""
        return self._copied(self._array)

    def _copied(self, part: Array) -> Array:
        found = np.array(part)
        if hasattr(self._mapping, "madvise"):
            self._mapping.madvise(mmap.MADV_DONTNEED)
        return found


def map_tensors(path: Path) -> Mapping[str, MappedArray | Array]:
    """The arrays of a file, in order; what ``decode_tensors`` says of its bytes.

    The file must not be changed while they are in use. Raises `Refusal` (BAD_TENSOR), OSError.
    """
    if path.stat().st_size:
        with path.open("rb") as file:
            mapping = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        try:
            return _mapped(mapping)
        except (_UnusualError, DecodeError):
            pass
    # It knows what is wrong, if anything is.
    return decode_tensors(path.read_bytes())


class _UnusualError(Exception):
    """These are not the bytes that ``encode_tensors`` writes."""


def _mapped(mapping: mmap.mmap) -> dict[str, MappedArray]:
    arrays: dict[str, MappedArray] = {}
    place = 0
    while place < len(mapping):
        start, size = _opened(mapping, place, _TENSOR)
        header, begin, length = _header(mapping, start)
        place = start + size
        dtype = DTYPES.get(header.dtype)
        known = header.name and dtype and header.name not in arrays and len(arrays) < MAX_TENSORS
        if not known or dtype is None or begin + length != place or place > len(mapping):
            raise _UnusualError
        count = math.prod(header.shape)
        if not count or count * dtype.itemsize != length or len(header.shape) > MAX_DIMENSIONS:
            raise _UnusualError
        array = np.frombuffer(mapping, dtype, count, begin).reshape(tuple(header.shape))
        arrays[header.name] = MappedArray(mapping, array)
    return arrays


def _header(mapping: mmap.mmap, start: int) -> tuple[Tensor, int, int]:
    """A tensor without its data, where its data begin, and their length."""
    place = start
    while _at(mapping, place) in (_NAME, _SHAPE, _DTYPE):
        if mapping[place] == _DTYPE:
            _, place = _number(mapping, place + 1)
        else:
            begin, size = _opened(mapping, place, mapping[place])
            place = begin + size
    written = mapping[start:place]
    header = Tensor.FromString(written)
    if canonical.encode(header) != written or len(header.name) > MAX_NAME_CHARS:
        raise _UnusualError
    return header, *_opened(mapping, place, _DATA)


def _opened(mapping: mmap.mmap, place: int, tag: int) -> tuple[int, int]:
    """Where a field of bytes begins, after its tag and its length, and the length."""
    if _at(mapping, place) != tag:
        raise _UnusualError
    size, begin = _number(mapping, place + 1)
    return begin, size


def _number(mapping: mmap.mmap, place: int) -> tuple[int, int]:
    """A varint, seven bits a byte, the lowest first, and where it ends."""
    value = shift = 0
    while (byte := _at(mapping, place)) & 0x80:
        value |= (byte & 0x7F) << shift
        shift, place = shift + 7, place + 1
    if (shift and not byte) or shift > 63:
        raise _UnusualError
    return value | byte << shift, place + 1


def _at(mapping: mmap.mmap, place: int) -> int:
    if place >= len(mapping):
        raise _UnusualError
    return mapping[place]
