"""The range of a data set's inputs, as a file holds them, and what they were divided by.

Inputs are never scaled without being asked for. So a user must see which numbers a model gets.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from fedcoin.data.errors import RefusalError
from fedcoin.learning.errors import LearningCode


@dataclass(frozen=True, slots=True)
class InputRange:
    """The smallest and the largest input of a data set."""

    dtype: str
    """The inputs' dtype in the file, such as `uint8`."""
    low: float
    """The smallest input in the file."""
    high: float
    """The largest input in the file."""
    is_whole: bool
    """Whether all inputs in the file are whole numbers."""
    divisor: float = 1.0
    """What the inputs were divided by on reading; 1 when they were left as they are."""
    remarks: tuple[str, ...] = ()
    """What else was changed or left out on reading the file, a phrase each."""

    @property
    def magnitude(self) -> float:
        """The largest absolute input after the division."""
        return max(abs(self.low), abs(self.high)) / self.divisor

    @property
    def model_divisor(self) -> float:
        """What a built-in model divides these inputs by, in its first layer; 1 for nothing.

        It is the largest input where all are whole numbers from 0 up, as pixels are, and were not
        divided on reading. So it does not depend on the dtype in which a file holds them.
        """
        is_counted = self.is_whole and self.low >= 0 and self.high > 1 and self.divisor == 1
        return self.high if is_counted else 1.0

    def describe(self) -> str:
        """Describe the inputs in a few words for logs and reports.

        Returns:
            Such as "inputs 0 to 255 (uint8), not scaled", and the remarks.
        """
        scaling = "not scaled" if self.divisor == 1 else f"divided by {self.divisor:g}"
        described = f"inputs {self.low:g} to {self.high:g} ({self.dtype}), {scaling}"
        return "; ".join((described, *self.remarks))


@dataclass(frozen=True, slots=True)
class DataSummary:
    """What a client can say about its training data without showing them."""

    num_examples: int
    """The number of training examples."""
    inputs: InputRange
    """The range of the inputs in the file, and what they were divided by."""


def measure_inputs(arrays: Sequence[npt.NDArray[np.generic]], divisor: float = 1.0) -> InputRange:
    """Measure the range of inputs.

    Args:
        arrays: Arrays of numbers as a file holds them, all finite; empty ones are skipped, but at
            least one must not be.
        divisor: What they are divided by on reading.

    Returns:
        The range of all arrays together, before the division.
    """
    filled = [array for array in arrays if array.size]
    return InputRange(
        dtype=str(filled[0].dtype),
        low=min(float(array.min()) for array in filled),
        high=max(float(array.max()) for array in filled),
        is_whole=all(_is_whole(array) for array in filled),
        divisor=divisor,
    )


def _is_whole(array: npt.NDArray[np.generic]) -> bool:
    if array.dtype.kind in "uib":
        return True
    floats = array.astype(np.float64)
    return bool((floats == np.rint(floats)).all())


def read_divisor(path: Path, arrays: Mapping[str, npt.NDArray[np.generic]]) -> float:
    """Read what a file says that its inputs are to be divided by.

    Args:
        path: The file, for error messages.
        arrays: The file's arrays; one of them may be a number `scale`.

    Returns:
        The number; 1 when the file says nothing.

    Raises:
        RefusalError: BAD_DATASET when it is not one number above 0, or not finite.
    """
    array = arrays.get("scale")
    if array is None:
        return 1.0
    if array.shape or array.dtype.kind not in "uif":
        raise RefusalError(
            LearningCode.BAD_DATASET,
            f"{path} has a scale of {array.dtype} and shape {array.shape}; it must be one number, "
            "by which the inputs are divided",
            field="scale",
        )
    divisor = float(array.astype(np.float64))
    check_divisor(divisor)
    return divisor


def check_divisor(divisor: float) -> None:
    """Refuse a number that inputs cannot be divided by.

    Args:
        divisor: What inputs would be divided by.

    Raises:
        RefusalError: BAD_DATASET when it is not above 0, or not finite.
    """
    if not np.isfinite(divisor) or divisor <= 0:
        raise RefusalError(
            LearningCode.BAD_DATASET,
            f"inputs cannot be divided by {divisor:g}; a scale must be above 0 and finite",
            field="scale",
        )
