"""Accuracy: the number of right answers.

An answer is right when the highest output is at the example's label. When several outputs are
equal, the lowest class counts as the highest; an example with a NaN among its outputs counts as
wrong.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from fedcoin.learning.measures.measure import Facts, Outputs, Statistics, Targets, Utilities
from fedcoin.learning.measures.tolerances import count_borderline


@dataclass(frozen=True, slots=True)
class Accuracy:
    """The number of right answers. Implements `measure.Measure`."""

    num_statistics = 1
    needs_values = False
    step = 1

    @property
    def facts(self) -> Facts:
        """Nothing: the count needs no knowledge of the evaluation set."""
        return np.zeros(0)

    def tolerance(self, num_examples: int, per_ten_thousand: int) -> int:
        """Implement `Measure.tolerance`: the number of borderline answers."""
        return count_borderline(num_examples, per_ten_thousand)

    def summarise(self, outputs: Outputs, targets: Targets) -> Statistics:
        """Implement `Measure.summarise`: count right answers."""
        right: Statistics = find_right(outputs, targets).sum(axis=1, dtype=np.int64)[:, None]
        return right

    def finish(self, statistics: Statistics) -> Utilities:
        """Implement `Measure.finish`: the count itself."""
        return statistics[:, 0]


ACCURACY = Accuracy()
"""The measure of jobs that name no other."""


_FREQUENT = 0.1
"""By how much of the set the most frequent label must exceed its part among equal classes."""


def explain_by_commonest(labels: Targets, base_count: int) -> str:
    """Say so when to answer everything with the most frequent label is as accurate as a base model.

    Args:
        labels: The labels of the evaluation set, integers (m,) from 0.
        base_count: The base model's right answers on it.

    Returns:
        A sentence, or nothing when the base model is better, or classes are of similar size: an
        untrained model is hardly better than any one answer then.
    """
    classes, counts = np.unique(labels, return_counts=True)
    commonest, count = int(classes[counts.argmax()]), int(counts.max())
    num_classes = max(2, len(classes))
    if count < base_count or count / len(labels) < 1 / num_classes + _FREQUENT:
        return ""
    part, base = 100 * count / len(labels), 100 * base_count / len(labels)
    return (
        f"always answering {commonest}, the most frequent label, is right for {part:.1f} % of the "
        f"evaluation set, and the base model for {base:.1f} %: the accuracy then pays for data "
        "that teach this one answer; the utility balanced-accuracy does not"
    )


def find_right(outputs: Outputs, labels: Targets) -> npt.NDArray[np.bool_]:
    """Find the examples that each model answers right.

    Args:
        outputs: float32 (m, classes, examples).
        labels: Integers (examples,), below the number of classes.

    Returns:
        Bool (m, examples), true where the model's highest output is at the example's label.
    """
    own = outputs[:, labels, np.arange(len(labels))]
    right: npt.NDArray[np.bool_] = outputs.argmax(axis=1) == labels
    right &= ~np.isnan(own)
    return right
