"""What an example's target is: a class, numbers or tokens. The measure decides it."""

from __future__ import annotations

from collections.abc import Iterable
from enum import Enum

from fedcoin.learning.measures.measure import Targets
from fedcoin.learning.measures.terms import TARGET_UTILITIES, TOKEN_UTILITIES


class TargetKind(Enum):
    """What the targets `y` of a data set are, and by which loss clients train."""

    CLASSES = "classes"
    """One class for each example, int64 (m,) from 0; trained by the cross-entropy."""
    NUMBERS = "numbers"
    """Numbers to predict, float32 (m,) or (m, outputs); trained by the mean squared error."""
    TOKENS = "tokens"
    """The id of the next token, int64 (m,), or one for each position, (m, positions), where -1
    marks a position without one; trained by the cross-entropy."""


def find_target_kind(utility: int) -> TargetKind:
    """Return what the targets are that a measure takes.

    Args:
        utility: A value of the enum `Utility` in task.proto; an unknown one is taken for one of
            classes.

    Returns:
        `NUMBERS` for the measures of regression, `TOKENS` for those of language models.
    """
    if utility in TARGET_UTILITIES:
        return TargetKind.NUMBERS
    return TargetKind.TOKENS if utility in TOKEN_UTILITIES else TargetKind.CLASSES


def count_outputs(kind: TargetKind, arrays: Iterable[Targets]) -> int:
    """Count the outputs that a model of these targets needs.

    Args:
        kind: What the targets are.
        arrays: Targets of this kind, such as those for training and those for testing.

    Returns:
        How many numbers an example has, for `NUMBERS`; else one more than the highest class or id,
        and at least 2.
    """
    filled = [array for array in arrays if array.size]
    if kind is TargetKind.NUMBERS:
        return max((array.shape[1] if array.ndim > 1 else 1 for array in filled), default=1)
    return max(2, *(int(array.max()) + 1 for array in filled), 2)
