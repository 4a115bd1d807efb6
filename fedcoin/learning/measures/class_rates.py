"""Balanced accuracy and macro F1: means over classes, so that a rare class counts as much.

Notation for class c: n_c examples have it, the model answers c for p_c examples, and t_c of these
have it. Only the classes that occur in the evaluation set count; K is their number.

    balanced accuracy = (1 / K) sum_c t_c / n_c
    macro F1          = (1 / K) sum_c 2 t_c / (n_c + p_c)

An answer is the class of the highest output, the lowest of several equal ones; an example with a
NaN among its outputs has no answer. Both are rounded down to millionths.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from fedcoin.learning.measures.measure import Facts, Outputs, Statistics, Targets, Utilities
from fedcoin.learning.measures.terms import MILLIONTHS
from fedcoin.learning.measures.tolerances import tolerate_classes

_FINE: Final = 1_000_000_000
"""Rates of single classes are rounded down to these parts; 10,000,000 examples times it fit 64
bits."""


@dataclass(frozen=True, slots=True, eq=False)
class BalancedAccuracy:
    """The mean over classes of the part answered right. Implements `measure.Measure`."""

    facts: Facts
    """float64 (classes,): n_c, the number of examples of each class."""

    needs_values = False

    @property
    def num_statistics(self) -> int:
        """One for each class: t_c, its examples that are answered right."""
        return len(self.facts)

    @property
    def step(self) -> int:
        """How far one example of the rarest class moves the utility, in millionths."""
        occurring = self.facts[self.facts > 0]
        return -(-MILLIONTHS // int(len(occurring) * occurring.min()))

    def tolerance(self, num_examples: int, per_ten_thousand: int) -> int:
        """Implement `Measure.tolerance`: that of a mean over classes."""
        return tolerate_classes(self.facts.astype(np.int64), per_ten_thousand)

    def summarise(self, outputs: Outputs, targets: Targets) -> Statistics:
        """Implement `Measure.summarise`: count the right answers of each class."""
        answers, classes = _find_answers(outputs), len(self.facts)
        return _count_classes(np.where(answers == targets, answers, -1), classes)

    def finish(self, statistics: Statistics) -> Utilities:
        """Implement `Measure.finish`: the mean of the classes' rates."""
        counts = self.facts.astype(np.int64)
        return _mean_rate(statistics, counts, counts > 0)


@dataclass(frozen=True, slots=True, eq=False)
class MacroF1:
    """The mean over classes of the F1 score. Implements `measure.Measure`."""

    facts: Facts
    """float64 (classes,): n_c, the number of examples of each class."""

    needs_values = False

    @property
    def num_statistics(self) -> int:
        """Two for each class: t_c (answered right) of all classes, then p_c (answers naming it)."""
        return 2 * len(self.facts)

    @property
    def step(self) -> int:
        """How far one example of the rarest class moves the utility at most, in millionths.

        It becomes right, and is no longer among another class' answers. The class' score changes
        by at most 2 / n_c, and that of the other by at most 1 / n_c.
        """
        occurring = self.facts[self.facts > 0]
        return -(-3 * MILLIONTHS // int(len(occurring) * occurring.min()))

    def tolerance(self, num_examples: int, per_ten_thousand: int) -> int:
        """Implement `Measure.tolerance`: that of a mean over classes, tripled for each answer."""
        return tolerate_classes(self.facts.astype(np.int64), per_ten_thousand, effects=3)

    def summarise(self, outputs: Outputs, targets: Targets) -> Statistics:
        """Implement `Measure.summarise`: count each class' right answers and all its answers."""
        answers, classes = _find_answers(outputs), len(self.facts)
        right = _count_classes(np.where(answers == targets, answers, -1), classes)
        return np.concatenate([right, _count_classes(answers, classes)], axis=1)

    def finish(self, statistics: Statistics) -> Utilities:
        """Implement `Measure.finish`: the mean of the classes' F1 scores."""
        counts = self.facts.astype(np.int64)
        right, answers = np.split(statistics, 2, axis=1)
        return _mean_rate(2 * right, counts + answers, counts > 0)


def count_labels(labels: Targets, num_classes: int) -> Facts:
    """Count the examples of each class.

    Args:
        labels: Integers of any shape; negative ones do not count.
        num_classes: The number of classes.

    Returns:
        The number of labels of each class, float64 (num_classes,).
    """
    flat = labels.reshape(-1).astype(np.int64)
    return np.bincount(flat[flat >= 0], minlength=num_classes).astype(np.float64)


def _find_answers(outputs: Outputs) -> npt.NDArray[np.int64]:
    """Find each model's answers, int64 (m, examples); -1 where an output is NaN."""
    answers: npt.NDArray[np.int64] = outputs.argmax(axis=1)
    # The highest output is NaN when any is.
    return np.where(np.isnan(outputs.max(axis=1)), -1, answers)


def _count_classes(answers: npt.NDArray[np.int64], num_classes: int) -> Statistics:
    """Count each row's answers by class, int64 (m, num_classes); -1 does not count."""
    cells = answers + num_classes * np.arange(len(answers))[:, None]
    counted = np.bincount(cells[answers >= 0], minlength=num_classes * len(answers))
    return counted.reshape(len(answers), num_classes).astype(np.int64)


def _mean_rate(
    numerators: Statistics, denominators: npt.NDArray[np.int64], counts: npt.NDArray[np.bool_]
) -> Utilities:
    """Average numerator / denominator over the classes that count, in millionths."""
    rates = numerators * _FINE // np.maximum(denominators, 1)
    total = np.where(counts, rates, 0).sum(axis=1)
    mean: Utilities = total // (int(counts.sum()) * (_FINE // MILLIONTHS))
    return mean
