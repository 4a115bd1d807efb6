"""The prior's closed formulas against sums over all coalitions."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from fedcoin import shapley
from fedcoin.shapley.kriging.covariances import CovarianceModel
from fedcoin.shapley.kriging.prior import (
    Hyperparameters,
    compute_value_covariances,
    compute_value_weights,
    prior_of_hyperparameters,
)

PLAYERS = 6


def all_coalitions() -> NDArray[np.bool_]:
    """All coalitions but the empty and the grand one, by mask."""
    masks = np.arange(1, (1 << PLAYERS) - 1)
    return (masks[:, None] >> np.arange(PLAYERS)) & 1 == 1


@pytest.fixture
def theta() -> Hyperparameters:
    mean, covariance = prior_of_hyperparameters(4, residual_variance=0.5, additive_variance=0.2)
    rng = np.random.default_rng(1)
    vector = mean.vector + 0.3 * np.sqrt(np.diag(covariance)) * rng.normal(size=len(mean.vector))
    return Hyperparameters(4, vector, mean.residual_variance)


def test_value_weights_give_the_shapley_values() -> None:
    table = np.random.default_rng(2).normal(size=1 << PLAYERS)
    bits = 1 << np.arange(PLAYERS)
    values = compute_value_weights(all_coalitions()).T @ table[1:-1]
    values += (table[-1] - table[0]) / PLAYERS
    exact = shapley.estimate(lambda c: table[c @ bits], PLAYERS, "exact").values
    np.testing.assert_allclose(values, exact)


def test_value_covariances_are_those_of_the_sum_over_all_coalitions(
    theta: Hyperparameters,
) -> None:
    coalitions = all_coalitions()
    model = CovarianceModel(coalitions, theta.max_degree)
    weights = compute_value_weights(coalitions)
    with_worths = model.matrix(theta) @ weights
    expected = compute_value_covariances(theta, model.sizes, PLAYERS)
    size_of = model.size_of
    centred = coalitions - coalitions.mean(axis=1, keepdims=True)
    noise = np.where(
        coalitions,
        expected.noise_inside[size_of][:, None],
        -expected.noise_outside[size_of][:, None],
    )
    np.testing.assert_allclose(
        with_worths, centred * expected.additive[size_of][:, None] + noise, atol=1e-10
    )
    between_values = weights.T @ with_worths
    np.testing.assert_allclose(
        between_values, expected.variance * (np.eye(PLAYERS) - 1 / PLAYERS), atol=1e-10
    )


def test_the_distances_of_players_vary_together() -> None:
    mean, covariance = prior_of_hyperparameters(4, 0.5, 0.2, distant_players=PLAYERS)
    assert len(mean.vector) == 4 + 10 + PLAYERS
    own = covariance[-PLAYERS:, -PLAYERS:]
    assert (own[np.triu_indices(PLAYERS, 1)] > 0).all()
    assert np.linalg.eigvalsh(covariance).min() > 0
