"""Log-loss and perplexity: how sure a model is of the right class.

The log-loss of an example is -log(p), p the probability that the model gives its label, in nats and
at most `LOSS_CLIP`; a NaN counts as the clip. With L the mean over examples:

    utility of the log-loss   = 1 - L / LOSS_CLIP
    utility of the perplexity = exp(-L) = 1 / perplexity

both in millionths, rounded down. The second is the geometric mean of the right token's probability:
a perplexity has no largest value, its inverse has one.

Each example's 1 - loss / LOSS_CLIP is rounded to a multiple of 2^-32, so that sums are integers and
do not depend on their order; those of 10,000,000 examples fit 64 bits.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from fedcoin.learning.measures.class_scores import Scores, log_probabilities
from fedcoin.learning.measures.measure import Facts, Outputs, Statistics, Targets, Utilities
from fedcoin.learning.measures.terms import LOSS_CLIP, MILLIONTHS
from fedcoin.learning.measures.tolerances import tolerate_smooth

QUANTUM_BITS: Final = 32
"""One example's quality, 0 to 1, is rounded to a multiple of 2^-QUANTUM_BITS."""


@dataclass(frozen=True, slots=True, eq=False)
class LogLoss:
    """The mean log-loss, turned round. Implements `measure.Measure`."""

    facts: Facts
    """float64 (2,): the number of labels, and whether outputs are probabilities, 1 or 0."""

    num_statistics = 1
    needs_values = True

    @property
    def step(self) -> int:
        """How far one label moves the utility from certainly right to wrong, in millionths."""
        return -(-MILLIONTHS // int(self.facts[0]))

    def tolerance(self, num_examples: int, per_ten_thousand: int) -> int:
        """Implement `Measure.tolerance`: that of a smooth utility."""
        return tolerate_smooth(per_ten_thousand)

    def summarise(self, outputs: Outputs, targets: Targets) -> Statistics:
        """Implement `Measure.summarise`: add up 1 - loss / clip."""
        flat, labels = flatten_positions(outputs, targets)
        scores = log_probabilities(flat, labels, are_probabilities=bool(self.facts[1]))
        return sum_qualities(1 + scores / LOSS_CLIP)

    def finish(self, statistics: Statistics) -> Utilities:
        """Implement `Measure.finish`: the mean of 1 - loss / clip."""
        return mean_quality(statistics[:, 0], int(self.facts[0]))


@dataclass(frozen=True, slots=True, eq=False)
class Perplexity:
    """The inverse of the perplexity. Implements `measure.Measure`."""

    facts: Facts
    """float64 (2,): the number of labels, and whether outputs are probabilities, 1 or 0."""

    num_statistics = 1
    needs_values = True

    @property
    def step(self) -> int:
        """How far one label's change by a nat moves the utility at perplexity 1, in millionths."""
        return -(-MILLIONTHS // int(self.facts[0]))

    def tolerance(self, num_examples: int, per_ten_thousand: int) -> int:
        """Implement `Measure.tolerance`: that of a smooth utility."""
        return tolerate_smooth(per_ten_thousand)

    def summarise(self, outputs: Outputs, targets: Targets) -> Statistics:
        """Implement `Measure.summarise`: add up 1 - loss / clip."""
        return LogLoss(self.facts).summarise(outputs, targets)

    def finish(self, statistics: Statistics) -> Utilities:
        """Implement `Measure.finish`: exp of minus the mean loss."""
        quality = statistics[:, 0] / int(self.facts[0]) / (1 << QUANTUM_BITS)
        inverse: Utilities = np.floor(MILLIONTHS * np.exp(LOSS_CLIP * (quality - 1))).astype(
            np.int64
        )
        return inverse


def flatten_positions(outputs: Outputs, labels: Targets) -> tuple[Outputs, Targets]:
    """Make an example of each position that has a label.

    Args:
        outputs: float32 (m, classes, examples), or (m, positions, classes, examples).
        labels: Integers (examples,), or (examples, positions), where negative ones mark positions
            without a label.

    Returns:
        Outputs (m, classes, k) and labels (k,) of the k positions with a label.
    """
    if labels.ndim == 1:
        return outputs, labels
    m, positions, classes, examples = outputs.shape
    flat = outputs.transpose(0, 2, 3, 1).reshape(m, classes, examples * positions)
    chosen = np.flatnonzero(labels.reshape(-1).astype(np.int64) >= 0)
    return flat[:, :, chosen], labels.reshape(-1)[chosen]


def sum_qualities(qualities: Scores) -> Statistics:
    """Round the examples' qualities and add them up.

    Args:
        qualities: float64 (m, examples). Clipped to 0 to 1 here; NaN is 0.

    Returns:
        The sum of each model's qualities, int64 (m, 1), in units of 2^-QUANTUM_BITS.
    """
    clipped = np.clip(np.nan_to_num(qualities, nan=0.0), 0.0, 1.0)
    total: Statistics = np.rint(clipped * (1 << QUANTUM_BITS)).astype(np.int64).sum(axis=1)
    return total[:, None]


def mean_quality(sums: Utilities, examples: int) -> Utilities:
    """Compute the mean quality in millionths, rounded down.

    Args:
        sums: The sum of each model's qualities, int64 (m,), in units of 2^-QUANTUM_BITS.
        examples: How many examples were added up.

    Returns:
        The mean of each model, int64 (m,), 0 to 1,000,000.
    """
    # Divided first, because the sum times a million does not fit 64 bits.
    mean: Utilities = (sums // examples * MILLIONTHS) >> QUANTUM_BITS
    return mean
