"""Next-token accuracy: the part of the tokens that a language model predicts right.

A model has one row of outputs for each example, or one for each of its positions. A position with a
negative label, such as padding, does not count.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from fedcoin.learning.measures.losses import flatten_positions
from fedcoin.learning.measures.measure import Facts, Outputs, Statistics, Targets, Utilities
from fedcoin.learning.measures.right_answers import find_right
from fedcoin.learning.measures.terms import MILLIONTHS
from fedcoin.learning.measures.tolerances import tolerate_mean


@dataclass(frozen=True, slots=True, eq=False)
class NextTokenAccuracy:
    """The part of the labels answered right, in millionths. Implements `measure.Measure`."""

    facts: Facts
    """float64 (1,): the number of labels."""

    num_statistics = 1
    needs_values = False

    @property
    def step(self) -> int:
        """How far one label, right or wrong, moves the utility, in millionths."""
        return -(-MILLIONTHS // int(self.facts[0]))

    def tolerance(self, num_examples: int, per_ten_thousand: int) -> int:
        """Implement `Measure.tolerance`: that of a mean over the labelled positions."""
        return tolerate_mean(int(self.facts[0]), per_ten_thousand)

    def summarise(self, outputs: Outputs, targets: Targets) -> Statistics:
        """Implement `Measure.summarise`: count right answers."""
        right = find_right(*flatten_positions(outputs, targets))
        counts: Statistics = right.sum(axis=1, dtype=np.int64)[:, None]
        return counts

    def finish(self, statistics: Statistics) -> Utilities:
        """Implement `Measure.finish`: the right answers in millionths of all labels."""
        return statistics[:, 0] * MILLIONTHS // int(self.facts[0])
