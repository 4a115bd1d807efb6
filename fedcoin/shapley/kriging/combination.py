"""How much of the correction to add to the model's values, and the variance of the result.

With the model's values m, the correction c (the estimated error of m) and its variances V, the
James-Stein estimate of the error is c (1 - sum V / sum c^2): close to c where the correction is
much larger than its own error, and 0 where it is not (James and Stein, "Estimation with quadratic
loss", Fourth Berkeley Symposium, 1961). A model that describes the game keeps at least a quarter of
the correction; one that is wrong gets nearly all of it, and is then unbiased.

A frequent error of models is to put all values too near to or too far from their mean: too near
where some players have a veto. The correction along the model's own values, a single number, shows
this well before the norm of the whole correction does, so that its weight is chosen by itself.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from fedcoin.shapley.array_types import Floats

# Fitted by hand on trial games; neither the games nor the program are kept. To check another
# value: `python scripts/benchmarks/bench_estimators.py` measures errors and coverage of intervals,
# `pytest tests/shapley/test_intervals.py -m slow` the coverage over 60 seeds.
_MIN_WEIGHT = 0.25
"""The part of the correction that is always added."""
_CORRECTION_VARIANCE_WEIGHT = 0.35
_MODEL_VARIANCE_WEIGHT = 0.5
"""Weights of the corrected values' variance and of the posterior variance in the reported one when
the correction is small and `_MIN_WEIGHT` of it is added; with all of it they are 1 and 0."""
_SMALL, _LARGE = 0.5, 1.5
"""Parts of sum V. Where the model holds, sum c^2 is a fraction of sum V; towards `_LARGE` the model
is in doubt, and the first weight rises to 1. Such are votes with veto players."""
_CAUTION = 2.0
"""By how many of its standard deviations sum c^2 must exceed sum V for more of the correction."""
_SLOPE_CAUTION = 0.5
"""The same for the correction along the values, in parts of its variance."""


@dataclass(frozen=True, slots=True)
class Slope:
    """The correction's variance along the model's values."""

    direction: Floats
    """(n,): the values less their mean, of length 1, or zeros where all are equal."""
    variance: float
    """The variance of the correction's component in this direction."""


def find_direction(values: Floats) -> Floats:
    """Find the direction in which values would move if they came nearer to their mean.

    Args:
        values: float64 (n,).

    Returns:
        (n,): of length 1, and zeros where all values are equal.
    """
    centred: Floats = values - values.mean()
    length = float(np.linalg.norm(centred))
    # Equal values differ from their mean by rounding.
    is_equal = length <= 1e-12 * float(np.abs(values).max())
    return np.zeros_like(centred) if is_equal else centred / length


def combine(
    values: Floats,
    model_variances: Floats,
    correction: Floats,
    correction_variances: Floats,
    slope: Slope,
) -> tuple[Floats, Floats]:
    """Add a part of the correction to the model's values.

    Args:
        values: The model's values, float64 (n,), n at least 2.
        model_variances: Their variances according to the model, float64 (n,).
        correction: The estimated errors, to be added, float64 (n,).
        correction_variances: Their variances, float64 (n,).
        slope: The correction's variance along the model's values.

    Returns:
        The values and their variances, float64 (n,) each.
    """
    size = float(correction @ correction)
    noise = float(correction_variances.sum()) * (1 + _CAUTION * np.sqrt(2 / (len(values) - 1)))
    weight = max(_MIN_WEIGHT, 1 - noise / size) if size > 0 else _MIN_WEIGHT
    excess = (weight - _MIN_WEIGHT) / (1 - _MIN_WEIGHT)
    ratio = size / max(float(correction_variances.sum()), 1e-300)
    doubt = max(excess, min(max((ratio - _SMALL) / (_LARGE - _SMALL), 0.0), 1.0))
    # A player's own variance is estimated from few terms: it is averaged with the mean.
    shrunk = (correction_variances + correction_variances.mean()) / 2
    variances: Floats = (
        _CORRECTION_VARIANCE_WEIGHT + doubt * (1 - _CORRECTION_VARIANCE_WEIGHT)
    ) * shrunk + (1 - excess) * _MODEL_VARIANCE_WEIGHT * model_variances
    component = float(correction @ slope.direction)
    slope_weight, rest = _weigh_slope(component, slope.variance, weight)
    moved = (slope_weight - weight) * component * slope.direction
    return values + weight * correction + moved, variances + rest * slope.direction**2


def _weigh_slope(component: float, variance: float, weight: float) -> tuple[float, float]:
    """Return the weight of the correction along the values, and the mean square that it leaves."""
    square = component**2
    if square <= 0:
        return weight, variance * weight**2
    slope_weight = max(weight, 1 - (1 + _SLOPE_CAUTION) * variance / square)
    missed = (1 - slope_weight) ** 2 * max(square - variance, 0.0)
    return slope_weight, missed + slope_weight**2 * variance
