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
from fedcoin.shapley.kriging.prior import (
    Hyperparameters,
    choose_max_degree,
    compute_value_covariances,
)
from fedcoin.shapley.kriging.reml import build_design, fit_hyperparameters, project_with_jitter

_MIN_FIT_ROWS, _MAX_FIT_ROWS = 250, 600
"""The hyperparameters are fitted to this number of randomly drawn coalitions: four for each player,
within these limits. The time of the fit grows with the cube of it. Set by hand."""
_BATCH_ROWS = 4_096
_MAX_MISFIT = 2.0
"""The largest misfit, y' P y / (m - k), of hyperparameters that were fitted to a part of the
sample. It is 1 in the mean when the model holds. Set by hand."""


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
    _model: CovarianceModel
    _theta: Hyperparameters

    def compute_prediction_errors(self, rows: Ints) -> Floats:
        """Predict some of the utilities from all others, and return by how much that is wrong.

        The errors of leaving out the set F are (P_FF)^-1 (P y)_F (Dubrule, "Cross validation of
        kriging in a unique neighborhood", Mathematical Geology 15, 1983).

        Args:
            rows: Indices of the coalitions to leave out together, (f,).

        Returns:
            Actual less predicted utility, float64 (f,), in the utility's unit.
        """
        block = self._projection[np.ix_(rows, rows)]
        errors = np.linalg.lstsq(block, self._projected_worth[rows], rcond=None)[0]
        return np.asarray(errors * self.scale, np.float64)

    def predict(self, coalitions: Bools) -> Floats:
        """Predict how far other coalitions' utilities differ from the mean of their size.

        Args:
            coalitions: bool (l, n), none of which was evaluated, of sizes that were.

        Returns:
            Predicted utility less the mean utility mu(s) of coalitions of that size, float64 (l,),
            in the utility's unit.
        """
        parts = [
            self._model.cross(self._theta, coalitions[start : start + _BATCH_ROWS])
            @ self._projected_worth
            for start in range(0, len(coalitions), _BATCH_ROWS)
        ]
        return np.concatenate(parts) * self.scale


def fit_posterior(
    coalitions: Bools,
    worth: Floats,
    rng: np.random.Generator,
    *,
    tells_players_apart: bool = False,
) -> Posterior:
    """Fit the model to a sample of a game and compute the posterior of its Shapley values.

    Args:
        coalitions: bool (m, n), different, none of them empty or grand.
        worth: The utilities of these coalitions, float64 (m,).
        rng: Source of randomness, for the choice of rows to fit hyperparameters to.
        tells_players_apart: Whether the prior has the part h.

    Returns:
        The mean and the variance of each player's value, and what is needed to predict utilities.
    """
    n = coalitions.shape[1]
    scale = float(worth.std()) or 1.0
    standardised = (worth - worth.mean()) / scale
    theta, model, projection, misfit = _fit_model(
        coalitions, standardised, rng, tells_players_apart=tells_players_apart
    )
    prior = compute_value_covariances(theta, model.sizes, n)
    size_of = model.size_of
    centred = coalitions - (coalitions.sum(axis=1) / n)[:, None]
    noise = np.where(
        coalitions, prior.noise_inside[size_of][:, None], -prior.noise_outside[size_of][:, None]
    )
    covariance_with_values = centred * prior.additive[size_of][:, None] + noise
    value_variances = np.full(n, prior.variance * (1 - 1 / n))
    part = theta.player_distances()
    if part is not None:
        covariance_with_values += part.value_covariances(coalitions)
        value_variances += part.value_variances()
    weights = projection @ covariance_with_values
    variances = value_variances - (covariance_with_values * weights).sum(axis=0)
    return Posterior(
        values=weights.T @ standardised * scale,
        variances=np.maximum(variances, 0) * max(1.0, misfit) * scale**2,
        weights=weights,
        scale=scale,
        _projected_worth=projection @ standardised,
        _projection=projection,
        _model=model,
        _theta=theta,
    )


def _fit_model(
    coalitions: Bools,
    standardised: Floats,
    rng: np.random.Generator,
    *,
    tells_players_apart: bool,
) -> tuple[Hyperparameters, CovarianceModel, Floats, float]:
    """Fit the hyperparameters; return them, the covariances of all coalitions, P and the misfit.

    A part of the sample may have none of a game's few irregular coalitions. When the fit to a part
    does not hold for the whole sample, those that it predicts worst are fitted as well.
    """
    count, n = coalitions.shape
    design = build_design(coalitions)
    model = CovarianceModel(coalitions, choose_max_degree(n))
    freedom = max(count - design.sizes.shape[1], 1)
    rows = rng.permutation(count)[: min(max(_MIN_FIT_ROWS, 4 * n), _MAX_FIT_ROWS)]
    for attempt in range(2):
        theta = fit_hyperparameters(
            coalitions[rows],
            standardised[rows],
            model.max_degree,
            tells_players_apart=tells_players_apart,
        )
        projection = project_with_jitter(model.matrix(theta), design.sizes).matrix
        projected = projection @ standardised
        misfit = float(standardised @ projected) / freedom
        if len(rows) >= count or misfit <= _MAX_MISFIT or attempt:
            break
        # The leave-one-out error divided by its standard deviation.
        surprise = np.abs(projected) / np.sqrt(np.maximum(np.diag(projection), 1e-300))
        worst = np.argsort(-surprise, kind="stable")[: len(rows) // 2]
        rows = np.union1d(worst, rows[: len(rows) // 2])
    # The largest of m squared normal errors is about 2 log m; more means irregular coalitions.
    surprise = projected**2 / np.maximum(np.diag(projection), 1e-300)
    irregularity = float(surprise.max()) / (2 * np.log(max(count, 3)))
    return theta, model, projection, max(misfit, irregularity)
