"""Mean squared error and R squared, for models whose outputs are numbers.

Notation: y_i is an example's target, a vector of d numbers; f_i the model's outputs; the squared
error e_i is |f_i - y_i|^2.

    utility of the mean squared error = 1 - mean of min(e_i / (d r^2), 1)
    utility of R squared              = max(0, 1 - sum of e_i / sum of |y_i - y'|^2)

r is the range of all targets (largest minus smallest) and y' their mean, both of the evaluation
set: an error as large as the whole range is as bad as any, and a model that is worse than to answer
the mean is worth nothing. Both are in millionths, rounded down. NaN and infinite outputs count as
the largest error.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from fedcoin.learning.measures.class_scores import Scores
from fedcoin.learning.measures.losses import QUANTUM_BITS, mean_quality, sum_qualities
from fedcoin.learning.measures.measure import Facts, Outputs, Statistics, Targets, Utilities
from fedcoin.learning.measures.terms import MILLIONTHS
from fedcoin.learning.measures.tolerances import tolerate_smooth


@dataclass(frozen=True, slots=True, eq=False)
class MeanSquaredError:
    """The mean squared error in parts of the squared range. Implements `measure.Measure`."""

    facts: Facts
    """float64 (2,): the number of examples, and d r^2, where d is the length of a target and r the
    range of all targets."""

    num_statistics = 1
    needs_values = True

    @property
    def step(self) -> int:
        """How far one example moves the utility from no error to the largest one, in millionths."""
        return -(-MILLIONTHS // int(self.facts[0]))

    def tolerance(self, num_examples: int, per_ten_thousand: int) -> int:
        """Implement `Measure.tolerance`: that of a smooth utility."""
        return tolerate_smooth(per_ten_thousand)

    def summarise(self, outputs: Outputs, targets: Targets) -> Statistics:
        """Implement `Measure.summarise`: add up 1 - e / (d r^2)."""
        return sum_qualities(1 - _squared_errors(outputs, targets) / self.facts[1])

    def finish(self, statistics: Statistics) -> Utilities:
        """Implement `Measure.finish`: the mean of what was added up."""
        return mean_quality(statistics[:, 0], int(self.facts[0]))


@dataclass(frozen=True, slots=True, eq=False)
class RSquared:
    """The coefficient of determination, at least 0. Implements `measure.Measure`."""

    facts: Facts
    """float64 (2,): the number of examples, and the sum of |y_i - y'|^2, where y_i is an example's
    target and y' the mean of all targets."""

    num_statistics = 1
    needs_values = True

    @property
    def step(self) -> int:
        """How far one example would move a mean over examples, in millionths."""
        return -(-MILLIONTHS // int(self.facts[0]))

    def tolerance(self, num_examples: int, per_ten_thousand: int) -> int:
        """Implement `Measure.tolerance`: that of a smooth utility."""
        return tolerate_smooth(per_ten_thousand)

    def summarise(self, outputs: Outputs, targets: Targets) -> Statistics:
        """Implement `Measure.summarise`: add up the errors, in parts of the targets' variation."""
        errors = _squared_errors(outputs, targets) / self.facts[1]
        return sum_qualities(np.nan_to_num(errors, nan=1.0, posinf=1.0))

    def finish(self, statistics: Statistics) -> Utilities:
        """Implement `Measure.finish`: 1 minus what was added up, but not below 0."""
        unexplained = np.minimum(statistics[:, 0], 1 << QUANTUM_BITS)
        explained: Utilities = (((1 << QUANTUM_BITS) - unexplained) * MILLIONTHS) >> QUANTUM_BITS
        return explained


def describe_range(targets: Targets) -> Facts:
    """Compute what the mean squared error needs to know about the targets.

    Args:
        targets: float32 (examples,) or (examples, d).

    Returns:
        float64 (2,), `MeanSquaredError.facts`: the number of examples, and d r^2.
    """
    numbers = _as_rows(targets)
    spread = float(numbers.max()) - float(numbers.min())
    return np.array([len(numbers), numbers.shape[1] * spread**2])


def describe_variation(targets: Targets) -> Facts:
    """Compute what R squared needs to know about the targets.

    Args:
        targets: float32 (examples,) or (examples, d).

    Returns:
        float64 (2,), `RSquared.facts`: the number of examples, and the targets' squared deviations
        from their mean, added up.
    """
    numbers = _as_rows(targets)
    return np.array([len(numbers), np.square(numbers - numbers.mean(axis=0)).sum()])


def _as_rows(targets: Targets) -> Scores:
    """Return targets as float64 (examples, d)."""
    return targets.reshape(len(targets), -1).astype(np.float64)


def _squared_errors(outputs: Outputs, targets: Targets) -> Scores:
    """Compute e_i, float64 (m, examples)."""
    errors: Scores = np.square(outputs.astype(np.float64) - _as_rows(targets).T).sum(axis=1)
    return errors
