"""The arrays of a file, listed by name, shape and dtype before any of them is read."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from fedcoin.data.errors import RefusalError
from fedcoin.learning.errors import LearningCode

Array = npt.NDArray[Any]

MAX_ARRAYS = 10_000
"""The largest number of arrays of a file."""

MAX_BYTES = 16 << 30
"""The largest size in bytes of all arrays that are read from a file at once."""

MAX_DIMENSIONS = 32
"""The largest number of dimensions of an array, which old versions of NumPy share."""

BFLOAT16 = "bfloat16"
"""The name of the 16-bit floating-point dtype that NumPy does not have: it is read as float32."""

_POSITIONAL = re.compile(r"(?:arr_)?(0|[1-9][0-9]{0,5})")


@dataclass(frozen=True, slots=True)
class StoredArray:
    """One array of a file, which is read only when `load` is called."""

    shape: tuple[int, ...]
    """The size of each axis."""
    dtype: np.dtype[Any]
    """The dtype of what `load` returns, in the machine's byte order."""
    stored_as: str
    """The name of the dtype in the file, such as "bfloat16" or ">f8"."""
    load: Callable[[], Array]
    """Reads the array; RefusalError UNREADABLE_FILE when the file is damaged."""

    @property
    def num_bytes(self) -> int:
        """The size of what `load` returns, in bytes."""
        return math.prod(self.shape) * self.dtype.itemsize


@dataclass(frozen=True, slots=True)
class StoredArrays:
    """The arrays of an open file."""

    path: Path
    """The file."""
    kind: str
    """What the file is, for messages, such as "safetensors"."""
    arrays: Mapping[str, StoredArray]
    """The arrays by name, in the file's order."""
    remarks: tuple[str, ...] = ()
    """What was changed or left out, a phrase each."""

    @property
    def is_positional(self) -> bool:
        """Whether the names are numbers alone: `arr_0`, `arr_1`, ..., or `0`, `1`, ..."""
        numbers = [_POSITIONAL.fullmatch(name) for name in self.arrays]
        positions = sorted(int(number[1]) for number in numbers if number)
        return bool(positions) and positions == list(range(len(numbers)))

    def names_by_position(self) -> list[str]:
        """List the names of a positional file.

        Returns:
            The names, in the order of their numbers.
        """
        return sorted(self.arrays, key=lambda name: int(name.removeprefix("arr_")))

    def load(self, names: Collection[str]) -> dict[str, Array]:
        """Read some of the arrays.

        Args:
            names: The names of the arrays to read, all of them in `arrays`.

        Returns:
            The arrays by name, in the order of `names`.

        Raises:
            RefusalError: UNREADABLE_FILE when the file is damaged, or the arrays have more than
                `MAX_BYTES` bytes together.
        """
        size = sum(self.arrays[name].num_bytes for name in names)
        if size > MAX_BYTES:
            raise unreadable(
                self.path, f"would need {size} bytes of memory; the limit is {MAX_BYTES}"
            )
        return {name: self.arrays[name].load() for name in names}


class ArrayFormat(Protocol):
    """Opens files of one format."""

    def __call__(self, path: Path) -> AbstractContextManager[StoredArrays]:
        """Open a file, which is closed at the end of the context.

        Args:
            path: The file.

        Returns:
            A context manager that gives the arrays of the file.

        Raises:
            RefusalError: UNREADABLE_FILE when the file is damaged or too large; MISSING_PACKAGE
                when a package is needed to read it.
        """


def unreadable(path: Path, sentence: str) -> RefusalError:
    """Build the error for a file that cannot be read.

    Args:
        path: The file, which messages name.
        sentence: What is wrong and what to do; it follows the path.

    Returns:
        A RefusalError with the code UNREADABLE_FILE.
    """
    return RefusalError(
        LearningCode.UNREADABLE_FILE, f"{path} {sentence}", field=path.name or str(path)
    )


@contextmanager
def refusing_damage(path: Path, kind: str) -> Iterator[None]:
    """Turn any exception of a library that reads a file into a RefusalError.

    Args:
        path: The file, which messages name.
        kind: What the file is, such as "an .npz file".

    Yields:
        Nothing; exceptions inside the `with` block are turned into refusals.

    Raises:
        RefusalError: UNREADABLE_FILE in place of any other exception.
    """
    try:
        yield
    except RefusalError:
        raise
    except Exception as error:  # libraries raise any class of exception for a damaged file
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise unreadable(path, f"is {kind} that is damaged: {reason}") from error


def check_dimensions(path: Path, name: str, shape: tuple[int, ...], dtype: np.dtype[Any]) -> None:
    """Check that an array of this shape can be held, before anything is allocated.

    Args:
        path: The file, which messages name.
        name: The array's name.
        shape: The shape that the file states.
        dtype: The dtype in which the array would be held.

    Raises:
        RefusalError: UNREADABLE_FILE when a size is negative, or the array has more than
            `MAX_DIMENSIONS` or `MAX_BYTES`.
    """
    if len(shape) > MAX_DIMENSIONS or not all(size >= 0 for size in shape):
        raise unreadable(
            path, f"states the shape {shape[:9]} for {name[:64]}, which no array can have"
        )
    num_bytes = math.prod(shape) * dtype.itemsize
    if num_bytes > MAX_BYTES:
        raise unreadable(
            path,
            f"states {num_bytes} bytes for the array {name[:64]}; the limit is {MAX_BYTES}",
        )


def check_count(path: Path, count: int) -> None:
    """Check the number of arrays.

    Args:
        path: The file, which messages name.
        count: How many arrays it has.

    Raises:
        RefusalError: UNREADABLE_FILE when there are more than `MAX_ARRAYS`.
    """
    if count > MAX_ARRAYS:
        raise unreadable(path, f"has {count} arrays; the limit is {MAX_ARRAYS}")


def widen_bfloat16(raw: bytes | Array, shape: tuple[int, ...]) -> Array:
    """Read bfloat16 numbers, which are the upper halves of float32.

    Args:
        raw: The numbers, little-endian, two bytes each, in C order.
        shape: The shape of the array.

    Returns:
        float32 of that shape.
    """
    halves = np.frombuffer(raw, "<u2").astype(np.uint32)
    return (halves << 16).view(np.float32).reshape(shape)
