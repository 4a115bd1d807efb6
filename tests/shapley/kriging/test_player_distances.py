"""The part of the prior that tells players apart: its formulas against sums over all coalitions."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from fedcoin.shapley.kriging.player_distances import PlayerDistances
from fedcoin.shapley.kriging.prior import compute_value_weights

PLAYERS = 7


@pytest.fixture
def part() -> PlayerDistances:
    rng = np.random.default_rng(1)
    deviations = np.concatenate([[0.0], rng.random(PLAYERS - 1) + 0.1, [0.0]])
    return PlayerDistances(deviations, np.exp(rng.normal(size=PLAYERS) - 1))


@pytest.fixture
def coalitions() -> NDArray[np.bool_]:
    masks = np.arange(1, (1 << PLAYERS) - 1)
    is_member: NDArray[np.bool_] = (masks[:, None] >> np.arange(PLAYERS)) & 1 == 1
    return is_member


def test_covariances_are_products_over_the_players_in_one_alone(
    part: PlayerDistances, coalitions: NDArray[np.bool_]
) -> None:
    first, second = coalitions[20], coalitions[77]
    ratio = np.prod(np.exp(-part.distances[first != second]))
    expected = part.deviations[first.sum()] * part.deviations[second.sum()] * ratio
    members = coalitions.astype(np.float64)
    assert part.covariances(members, members)[20, 77] == pytest.approx(expected)


def test_value_covariances_and_variances_are_sums_over_all_coalitions(
    part: PlayerDistances, coalitions: NDArray[np.bool_]
) -> None:
    members = coalitions.astype(np.float64)
    weights = compute_value_weights(coalitions)
    expected = part.covariances(members, members) @ weights
    np.testing.assert_allclose(part.value_covariances(coalitions), expected, atol=1e-14)
    np.testing.assert_allclose(
        part.value_variances(), np.einsum("mi,mi->i", weights, expected), atol=1e-14
    )


def test_players_at_equal_distances_have_equal_variances() -> None:
    part = PlayerDistances(np.r_[0.0, np.ones(PLAYERS - 1), 0.0], np.full(PLAYERS, 0.4))
    variances = part.value_variances()
    np.testing.assert_allclose(variances, variances[0])
    one = PlayerDistances(part.deviations, np.r_[2.0, np.full(PLAYERS - 1, 0.4)])
    # The larger a player's distance, the more uncertain its value before anything is known.
    assert one.value_variances()[0] > 1.2 * variances[0]
