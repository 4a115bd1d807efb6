"""The covariance matrix: symmetric, positive definite, with the right derivatives."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from fedcoin.shapley.kriging.covariances import CovarianceModel
from fedcoin.shapley.kriging.prior import Hyperparameters, prior_of_hyperparameters


@pytest.fixture
def model() -> CovarianceModel:
    rng = np.random.default_rng(3)
    coalitions = rng.random((40, 9)) < 0.5
    coalitions[:, 0], coalitions[:, 1] = True, False
    return CovarianceModel(np.unique(coalitions, axis=0), 3)


@pytest.fixture
def theta() -> Hyperparameters:
    return prior_of_hyperparameters(3, residual_variance=0.5, additive_variance=0.2)[0]


def test_the_matrix_is_a_covariance(model: CovarianceModel, theta: Hyperparameters) -> None:
    matrix = model.matrix(theta)
    np.testing.assert_allclose(matrix, matrix.T)
    assert np.linalg.eigvalsh(matrix).min() > 0


def test_derivatives_are_those_of_finite_differences(
    model: CovarianceModel, theta: Hyperparameters
) -> None:
    rng = np.random.default_rng(4)
    m = len(model.size_of)
    vector, square = rng.normal(size=m), rng.normal(size=(m, m))
    projection = square + square.T
    products, traces = model.derivatives(theta, vector, projection)
    step = 1e-5
    for j in range(len(theta.vector)):
        shift = step * (np.arange(len(theta.vector)) == j)
        above = model.matrix(replace(theta, vector=theta.vector + shift))
        below = model.matrix(replace(theta, vector=theta.vector - shift))
        derivative = (above - below) / (2 * step)
        np.testing.assert_allclose(products[j], derivative @ vector, atol=1e-6)
        assert traces[j] == pytest.approx(np.trace(derivative @ projection), abs=1e-5)
