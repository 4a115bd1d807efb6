"""The posterior's predictions of coalitions that were not evaluated, and of values."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fedcoin.shapley.kriging.covariances import CovarianceModel
from fedcoin.shapley.kriging.posterior import fit_posterior
from fedcoin.shapley.kriging.prior import choose_max_degree
from fedcoin.shapley.kriging.reml import build_design, fit_hyperparameters
from fedcoin.shapley.strata import draw_coalitions

PLAYERS = 8


def sample() -> tuple[NDArray[np.bool_], NDArray[np.float64]]:
    rng = np.random.default_rng(5)
    sizes = ((1, 8), (2, 20), (3, 20))
    small = np.concatenate([draw_coalitions(PLAYERS, size, count, rng) for size, count in sizes])
    coalitions = np.concatenate([small, ~small])
    worth = np.sqrt(coalitions @ np.linspace(0.1, 1, PLAYERS)) + coalitions[:, 0]
    # Noise keeps the matrices well conditioned, so that two ways of computing agree.
    return coalitions, worth + 0.1 * rng.normal(size=len(worth))


def test_values_add_up_to_zero_and_variances_are_not_negative() -> None:
    coalitions, worth = sample()
    posterior = fit_posterior(coalitions, worth, np.random.default_rng(0))
    assert abs(posterior.values.sum()) < 1e-9
    assert (posterior.variances >= 0).all()
    np.testing.assert_allclose(posterior.weights.T @ worth, posterior.values, atol=1e-9)


def test_prediction_errors_are_those_of_a_fit_without_the_rows() -> None:
    coalitions, worth = sample()
    left_out = np.array([3, 17, 40])
    kept = np.setdiff1d(np.arange(len(worth)), left_out)
    errors = fit_posterior(coalitions, worth, np.random.default_rng(0)).compute_prediction_errors(
        left_out
    )
    scaled = (worth - worth.mean()) / worth.std()
    theta = fit_hyperparameters(coalitions, scaled, choose_max_degree(PLAYERS))
    matrix = CovarianceModel(coalitions, theta.max_degree).matrix(theta)
    sizes = build_design(coalitions).sizes
    # Universal kriging by its definition: generalised least squares, then simple kriging.
    inverse = np.linalg.inv(matrix[np.ix_(kept, kept)])
    information = sizes[kept].T @ inverse @ sizes[kept]
    means = np.linalg.solve(information, sizes[kept].T @ inverse @ scaled[kept])
    residuals = scaled[kept] - sizes[kept] @ means
    predicted = sizes[left_out] @ means + matrix[np.ix_(left_out, kept)] @ inverse @ residuals
    np.testing.assert_allclose(errors, (scaled[left_out] - predicted) * worth.std(), rtol=1e-5)
