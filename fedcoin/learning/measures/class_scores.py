"""Log-probabilities and log-odds of classes, from what a model's last layer gives.

A model gives probabilities (it ends in a softmax) or logits. Which of both it gives is found out
by evaluating the base model (`ProbabilityProbe`): outputs that are at least 0 and add up to 1 on
every example are probabilities.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from fedcoin.learning.measures.measure import Facts, Outputs, Statistics, Targets, Utilities

SUM_TOLERANCE: Final = 1e-3
"""How far the sum of an example's probabilities may be from 1: float32 sums over 100,000 classes
and float16 computations are within it."""

Scores = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class ProbabilityProbe:
    """Counts examples whose outputs are a distribution. Implements `measure.Measure`."""

    num_statistics = 2
    needs_values = True
    step = 1

    @property
    def facts(self) -> Facts:
        """An empty array: the probe needs to know nothing about the evaluation set."""
        return np.zeros(0)

    def tolerance(self, num_examples: int, per_ten_thousand: int) -> int:
        """Implement `Measure.tolerance`: 0, as no audit measures by a probe."""
        return 0

    def summarise(self, outputs: Outputs, targets: Targets) -> Statistics:
        """Implement `Measure.summarise`: count examples, and those with probabilities."""
        close = np.abs(outputs.sum(axis=1, dtype=np.float64) - 1) <= SUM_TOLERANCE
        proper = close & (outputs.min(axis=1) >= 0)
        examples = np.full(len(outputs), proper[0].size, np.int64)
        return np.stack([examples, proper.reshape(len(outputs), -1).sum(axis=1)], axis=1)

    def finish(self, statistics: Statistics) -> Utilities:
        """Implement `Measure.finish`: 1 where all examples have probabilities, otherwise 0."""
        is_whole: Utilities = (statistics[:, 0] == statistics[:, 1]).astype(np.int64)
        return is_whole


def log_probabilities(outputs: Outputs, labels: Targets, *, are_probabilities: bool) -> Scores:
    """Compute the log-probability of each example's label.

    Args:
        outputs: float32 (m, classes, examples).
        labels: Integers (examples,), below the number of classes.
        are_probabilities: Whether the outputs are probabilities, otherwise logits.

    Returns:
        float64 (m, examples), natural logarithms; NaN where an output decides nothing.
    """
    own = outputs[:, labels, np.arange(len(labels))].astype(np.float64)
    if are_probabilities:
        # Dividing by the sum takes the rounding of the softmax out.
        total = np.log(outputs.sum(axis=1, dtype=np.float64))
    else:
        total = _log_sum_exp(outputs.astype(np.float64))
    scores: Scores = (np.log(own) if are_probabilities else own) - total
    return scores


def log_odds(outputs: Outputs, index: int, *, are_probabilities: bool) -> Scores:
    """Compute the log-odds of one class against all others.

    Args:
        outputs: float32 (m, classes, examples), at least two classes.
        index: The class whose odds are computed, from 0.
        are_probabilities: Whether the outputs are probabilities, otherwise logits.

    Returns:
        float64 (m, examples), natural logarithms of p / (1 - p), p the class's probability.
    """
    own = outputs[:, index].astype(np.float64)
    others = np.delete(outputs, index, axis=1).astype(np.float64)
    if are_probabilities:
        # Not 1 - p: that has no digits left for p near 1.
        odds: Scores = np.log(own) - np.log(others.sum(axis=1))
        return odds
    return np.asarray(own - _log_sum_exp(others))


def _log_sum_exp(logits: Scores) -> Scores:
    """Compute log(sum of exp) over axis 1 without overflow."""
    highest = logits.max(axis=1)
    total = np.exp(logits - highest[:, None]).sum(axis=1)
    result: Scores = highest + np.log(total)
    return result
