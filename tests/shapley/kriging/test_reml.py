"""The restricted likelihood: its projection, its gradient and its maximum."""

from __future__ import annotations

import numpy as np

from fedcoin.shapley.kriging.covariances import CovarianceModel
from fedcoin.shapley.kriging.reml import build_design, fit_hyperparameters, project
from fedcoin.shapley.strata import draw_coalitions


def test_contrasts_are_orthonormal_and_add_up_to_zero() -> None:
    design = build_design(np.random.default_rng(1).random((12, 7)) < 0.5)
    np.testing.assert_allclose(design.contrasts.T @ design.contrasts, np.eye(6), atol=1e-12)
    np.testing.assert_allclose(design.contrasts.sum(axis=0), 0, atol=1e-12)
    assert (design.sizes.sum(axis=1) == 1).all()


def test_the_projection_removes_the_sizes() -> None:
    rng = np.random.default_rng(2)
    square = rng.normal(size=(20, 20))
    covariance = square @ square.T + np.eye(20)
    sizes = (rng.integers(0, 3, 20)[:, None] == np.arange(3)).astype(np.float64)
    found = project(covariance, sizes)
    np.testing.assert_allclose(found.matrix @ sizes, 0, atol=1e-10)
    np.testing.assert_allclose(found.matrix @ covariance @ found.matrix, found.matrix, atol=1e-10)
    information = sizes.T @ np.linalg.solve(covariance, sizes)
    expected = np.linalg.slogdet(covariance)[1] + np.linalg.slogdet(information)[1]
    np.testing.assert_allclose(found.log_determinants, expected)


def test_a_game_without_interactions_is_fitted_with_little_noise() -> None:
    rng = np.random.default_rng(3)
    coalitions = np.concatenate([draw_coalitions(10, size, 20, rng) for size in (1, 2, 3, 4)])
    worth = coalitions @ rng.normal(size=10)
    worth = (worth - worth.mean()) / worth.std()
    theta = fit_hyperparameters(coalitions, worth, 2)
    model = CovarianceModel(coalitions, 2)
    noise = theta.noise_variance(model.sizes, 10)
    assert noise.max() < 1e-3 * theta.additive_variance()
