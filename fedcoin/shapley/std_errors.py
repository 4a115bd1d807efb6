"""Estimate standard errors from few samples."""

from __future__ import annotations

from fedcoin.shapley.array_types import Floats


def student_factor(degrees_of_freedom: int) -> float:
    """Compute by how much to widen a standard error that was estimated from few samples.

    An interval of 1.96 widened standard errors then covers 95 %, as one from Student's t
    distribution does. The quantile of that distribution is z + (z^3 + z) / (4 f) to first order in
    1 / f (Abramowitz and Stegun, Handbook of Mathematical Functions, 26.7.5). With z = 1.96 this
    is z (1 + 1.21 / f).

    Args:
        degrees_of_freedom: f, at least 1.

    Returns:
        1 + 1.21 / f.
    """
    return 1 + 1.21 / degrees_of_freedom


def shrink_variances(variances: Floats, count: int, prior_samples: float) -> Floats:
    """Move each player's estimated variance towards the mean over all players.

    With few walks a player may never have joined at the position where it adds most, so that its
    own estimate is much too small. Weights are those of a mean with a prior: `count - 1` for the
    player's own variance, `prior_samples` for the mean.

    Args:
        variances: Each player's variance, estimated from `count` samples, float64 (n,).
        count: Number of samples, at least 1.
        prior_samples: The value of `count` - 1 at which a player's own variance and the mean have
            equal weights.

    Returns:
        The shrunk variances, float64 (n,); their mean is the mean of `variances`.
    """
    own = (count - 1) / (count - 1 + prior_samples)
    shrunk: Floats = own * variances + (1 - own) * variances.mean()
    return shrunk
