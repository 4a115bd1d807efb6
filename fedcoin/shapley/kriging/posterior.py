"""The posterior of the Shapley values given the utilities of some coalitions (kriging).

Notation of `prior` and `reml`: y are the standardised utilities of the sample, P the REML
projection of their covariance matrix, C = cov(y, phi), (m, n). The estimate is the best linear
unbiased predictor (universal kriging; Cressie, Statistics for Spatial Data, 1993, section 3.4)

    E[phi | y] = C' P y        var[phi | y] = var phi - diag(C' P C)

It is the expected Shapley value over all games that agree with the sample. When every coalition
was evaluated, it is the Shapley value.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from fedcoin.shapley.array_types import Bools, Floats, Ints
from fedcoin.shapley.kriging.covariances import CovarianceModel
from fedcoin.shapley.kriging.prior import choose_max_degree, compute_value_covariances
from fedcoin.shapley.kriging.reml import build_design, fit_hyperparameters, project

_MAX_FIT_ROWS = 250
"""The number of randomly drawn coalitions that the hyperparameters are fitted to, unless four times
the number of players is larger. The time of the fit grows with the cube of it. Set by hand."""


@dataclass(frozen=True, slots=True)
class Posterior:
    """The posterior of each player's Shapley value minus the mean value, (u(N) - u(empty)) / n."""

    values: Floats
    """E[phi | y], (n,), in the utility's unit; they add up to 0."""
    variances: Floats
    """var[phi | y] according to the model, (n,), in the square of that unit."""
    weights: Floats
    """P C, (m, n): how much each coalition's utility counts in the values."""
    scale: float
    """The utilities' standard deviation, by which they were divided."""
    _projected_worth: Floats
    """P y, (m,)."""
    _projection: Floats
    """P, (m, m)."""

    def compute_prediction_errors(self, rows: Ints) -> Floats:
        """Predict some of the utilities from all others, and return by how much that is wrong.

        The errors of leaving out the set F are (P_FF)^-1 (P y)_F (Dubrule, "Cross validation of
        kriging in a unique neighborhood", Mathematical Geology 15, 1983).

        Args:
            rows: Indices of the coalitions to leave out together, (f,).

        Returns:
            Actual less predicted worth, (f,), in the utility's unit.
        """
        block = self._projection[np.ix_(rows, rows)]
        errors = np.linalg.lstsq(block, self._projected_worth[rows], rcond=None)[0]
        return np.asarray(errors * self.scale, np.float64)


def fit_posterior(coalitions: Bools, worth: Floats, rng: np.random.Generator) -> Posterior:
    """Fit the model to a sample of a game and compute the posterior of its Shapley values.

    Args:
        coalitions: bool (m, n), different, none of them empty or grand.
        worth: The utilities of these coalitions, float64 (m,).
        rng: Source of randomness, for the choice of rows to fit hyperparameters to.

    Returns:
        The posterior.
    """
    n = coalitions.shape[1]
    scale = float(worth.std()) or 1.0
    standardised = (worth - worth.mean()) / scale
    rows: Ints = np.arange(len(worth), dtype=np.int64)
    max_rows = max(_MAX_FIT_ROWS, 4 * n)
    if len(rows) > max_rows:
        rows = rng.permutation(rows)[:max_rows]
    theta = fit_hyperparameters(coalitions[rows], standardised[rows], choose_max_degree(n))
    model = CovarianceModel(coalitions, theta.max_degree)
    projection = project(model.matrix(theta), build_design(coalitions).sizes).matrix
    prior = compute_value_covariances(theta, model.sizes, n)
    size_of = model.size_of
    centred = coalitions - (coalitions.sum(axis=1) / n)[:, None]
    noise = np.where(
        coalitions, prior.noise_inside[size_of][:, None], -prior.noise_outside[size_of][:, None]
    )
    covariance_with_values = centred * prior.additive[size_of][:, None] + noise
    weights = projection @ covariance_with_values
    variances = prior.variance * (1 - 1 / n) - (covariance_with_values * weights).sum(axis=0)
    return Posterior(
        values=weights.T @ standardised * scale,
        variances=np.maximum(variances, 0) * scale**2,
        weights=weights,
        scale=scale,
        _projected_worth=projection @ standardised,
        _projection=projection,
    )
