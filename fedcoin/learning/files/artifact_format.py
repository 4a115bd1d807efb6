"""Read FedCoin's own artifacts: weights, averages and evaluation sets as nodes store them.

An artifact is a serialised `TensorFile` (`fedcoin.data.artifacts.tensors`), as
`fedcoin-node artifacts get` writes it.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import numpy as np

from fedcoin.data.artifacts.mapped_tensors import MappedArray, map_tensors
from fedcoin.data.errors import RefusalError
from fedcoin.learning.files.stored_arrays import (
    Array,
    StoredArray,
    StoredArrays,
    refusing_damage,
    unreadable,
)

_KIND: Final = "a FedCoin artifact"
# Protobuf's tags of a TensorFile's first tensor, and of the first two fields of a Tensor.
_TENSOR: Final = 0x0A
_NAME: Final = 0x0A
_DTYPE: Final = 0x10
_MAX_VARINT_BYTES: Final = 10


def is_artifact(head: bytes) -> bool:
    """Tell whether a file begins as an artifact of named arrays does.

    Args:
        head: The file's first bytes, 512 of them where it is as long.

    Returns:
        True when a tensor with a name and a dtype begins there.
    """
    if head[:1] != bytes((_TENSOR,)):
        return False
    varint = head[1 : 1 + _MAX_VARINT_BYTES]
    end = next((index for index, byte in enumerate(varint) if byte < 0x80), None)
    if end is None:
        return False
    tag, rest = head[end + 2 : end + 3], head[end + 3 :]
    if tag != bytes((_NAME,)) or not rest:
        return False
    length, start = rest[0], 1
    if length >= 0x80 and len(rest) > 1:  # names have up to 256 characters
        length, start = (length & 0x7F) | rest[1] << 7, 2
    return rest[start + length : start + length + 1] == bytes((_DTYPE,))


@contextmanager
def open_artifact(path: Path) -> Iterator[StoredArrays]:
    """Open an artifact of named arrays.

    Args:
        path: The artifact.

    Yields:
        Its arrays.

    Raises:
        RefusalError: UNREADABLE_FILE when it is damaged.
    """
    with refusing_damage(path, _KIND):
        try:
            mapped = map_tensors(path)
        except RefusalError as refusal:
            raise unreadable(path, f"is {_KIND} that is damaged: {refusal.message}") from refusal
    yield StoredArrays(path, "artifact", {name: _describe(array) for name, array in mapped.items()})


def _describe(array: MappedArray | Array) -> StoredArray:
    dtype = array.dtype.newbyteorder("=")

    def load() -> Array:
        numbers = array.read() if isinstance(array, MappedArray) else array
        return np.array(numbers, dtype)

    return StoredArray(array.shape, dtype, dtype.name, load)
