"""Shapley values from a Gaussian process over coalitions (kriging).

The worth of a coalition of some size is taken for a random function that is smooth in who belongs
and in the size (``prior``), whose smoothness and roughness are learned from the sample (``reml``).
The estimate is the expected Shapley value of the games that agree with everything that was
evaluated: no other linear estimate is better under the prior, and once every coalition was
evaluated it is the Shapley value.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from fedcoin.shapley.array_types import Bools, Floats, Ints
from fedcoin.shapley.kriging.covariances import Covariances
from fedcoin.shapley.kriging.prior import degrees_for, value_covariances
from fedcoin.shapley.kriging.reml import columns_of, invert, learn

_LEARNING_ROWS = 250
"""The most coalitions from which settings are learned, or four times the players: a random part
of a larger sample."""


@dataclass(frozen=True, slots=True)
class Posterior:
    """What a sample says of the Shapley values, up to an equal part for everyone."""

    values: Floats
    """(n,), adding up to zero."""
    variances: Floats
    """(n,), as the model has them."""
    pull: Floats
    """(m, n): what each coalition's worth counts in the values."""
    unit: float
    """What the worths were divided by."""
    _weights: Floats
    _projected: Floats

    def errors_without(self, rows: Ints) -> Floats:
        """How far off the other coalitions' prediction of these rows' worths is (Dubrule, 1983)."""
        block = self._projected[np.ix_(rows, rows)]
        errors = np.linalg.lstsq(block, self._weights[rows], rcond=None)[0]
        return np.asarray(errors * self.unit, np.float64)


def fit_posterior(coalitions: Bools, worth: Floats, rng: np.random.Generator) -> Posterior:
    """Values (up to an equal part for everyone) of a game of which this much is known.

    ``coalitions`` (m, n) are distinct, neither empty nor grand; ``worth`` (m,).
    """
    n = coalitions.shape[1]
    unit = float(worth.std()) or 1.0
    scaled = (worth - worth.mean()) / unit
    rows = np.arange(len(worth))
    enough = max(_LEARNING_ROWS, 4 * n)
    if len(rows) > enough:
        rows = rng.permutation(rows)[:enough]
    settings = learn(coalitions[rows], scaled[rows], degrees_for(n))
    covariances = Covariances(coalitions, settings.degrees)
    found = invert(covariances.matrix(settings), columns_of(coalitions).sizes)
    prior = value_covariances(settings, covariances.sizes, n)
    at = covariances.size_of
    centred = coalitions - (coalitions.sum(axis=1) / n)[:, None]
    noise = np.where(coalitions, prior.inside[at][:, None], -prior.outside[at][:, None])
    with_worth = centred * prior.additive[at][:, None] + noise
    pull = found.projected @ with_worth
    variances = prior.variance * (1 - 1 / n) - (with_worth * pull).sum(axis=0)
    return Posterior(
        values=pull.T @ scaled * unit,
        variances=np.maximum(variances, 0) * unit**2,
        pull=pull,
        unit=unit,
        _weights=found.projected @ scaled,
        _projected=found.projected,
    )
