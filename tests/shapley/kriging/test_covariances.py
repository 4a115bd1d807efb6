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


@pytest.fixture(params=[0, 9], ids=["players alike", "players apart"])
def theta(request: pytest.FixtureRequest) -> Hyperparameters:
    mean, covariance = prior_of_hyperparameters(3, 0.5, 0.2, distant_players=request.param)
    deviation = np.random.default_rng(5).multivariate_normal(np.zeros(len(covariance)), covariance)
    return replace(mean, vector=mean.vector + 0.3 * deviation)


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


def test_covariances_with_other_coalitions_are_those_of_one_matrix(theta: Hyperparameters) -> None:
    coalitions = np.unique(np.random.default_rng(6).random((60, 9)) < 0.5, axis=0)
    sizes = coalitions.sum(axis=1)
    coalitions = coalitions[(sizes > 2) & (sizes < 7)]
    whole = CovarianceModel(coalitions, 3).matrix(theta)
    some = CovarianceModel(coalitions[5:], 3)
    np.testing.assert_allclose(some.cross(theta, coalitions[:5]), whole[:5, 5:], atol=1e-12)
