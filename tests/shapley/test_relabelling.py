"""Named players have the same values in any order."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from fedcoin import shapley
from fedcoin.data.errors import RefusalError
from fedcoin.shapley.errors import ShapleyCode

NAMES = [f"client-{letter}" for letter in "qzbmaxkcydwe"]
# Sums of these weights are exact in any order.
WEIGHTS = np.array([1.0, 2.0, 3.0, 5.0, 7.0, 11.0, 13.0, 17.0, 19.0, 23.0, 29.0, 31.0])
METHODS = ["permutation", "antithetic", "truncated", "complementary", "kriging", "grouped", "auto"]


@pytest.mark.parametrize("method", METHODS)
def test_the_estimate_follows_the_names(method: str) -> None:
    order = np.random.default_rng(5).permutation(len(NAMES))

    def estimated(players: NDArray[np.int64]) -> NDArray[np.float64]:
        worth = WEIGHTS[players]
        found = shapley.estimate(
            lambda coalitions: np.sqrt(coalitions @ worth),
            len(players),
            method,
            150,
            players=[NAMES[player] for player in players],
        )
        return np.array([found.values, found.std_errors])

    plain, moved = estimated(np.arange(len(NAMES))), estimated(order)
    np.testing.assert_array_equal(moved, plain[:, order])


@pytest.mark.parametrize("names", [["a", "b"], ["a", "b", "a"], []])
def test_names_that_do_not_tell_the_players_apart_are_refused(names: list[str]) -> None:
    with pytest.raises(RefusalError) as refused:
        shapley.estimate(lambda coalitions: coalitions.sum(axis=1), 3, players=names)
    assert refused.value.code is ShapleyCode.BAD_GAME
