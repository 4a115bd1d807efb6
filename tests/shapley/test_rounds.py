from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from fedcoin import shapley
from fedcoin.data.errors import RefusalError
from fedcoin.shapley.errors import ShapleyCode
from tests.shapley.test_intervals import load_game


def given(values: Sequence[float], errors: Sequence[float]) -> shapley.Estimate:
    return shapley.Estimate(np.array(values), np.array(errors), 0, "exact")


def test_values_add_up_and_so_do_squares_of_errors() -> None:
    rounds = [given([1.0, 2.0], [3.0, 0.0]), given([10.0, -2.0], [4.0, 1.0])]
    total = shapley.add_rounds(rounds)
    np.testing.assert_allclose(total.values, [11, 0])
    np.testing.assert_allclose(total.std_errors, [5, 1])
    weighted = shapley.add_rounds(rounds, weights=[0.5, -2])
    np.testing.assert_allclose(weighted.values, [-19.5, 5])
    np.testing.assert_allclose(weighted.std_errors, [math.hypot(1.5, 8), 2])


def test_players_that_were_absent_have_no_value_in_a_round() -> None:
    rounds = [given([1.0, 2.0], [3.0, 0.5]), given([10.0], [4.0])]
    total = shapley.add_rounds(rounds, players=[[2, 0], [2]])
    np.testing.assert_allclose(total.values, [2, 0, 11])
    np.testing.assert_allclose(total.std_errors, [0.5, 0, 5])


def test_a_round_without_weight_counts_nothing() -> None:
    rounds = [given([1.0], [math.inf]), given([2.0], [0.5])]
    total = shapley.add_rounds(rounds, weights=[0, 1])
    assert (total.values.tolist(), total.std_errors.tolist()) == ([2], [0.5])


def test_intervals_of_sums_cover() -> None:
    """Three rounds of other games, each with its own seed."""
    games = [load_game(name) for name in ("iid-1", "label-skew-1", "root-of-sum")]
    exact = sum(game.values for game in games)
    covered = []
    for seed in range(40):
        rounds = [
            shapley.estimate(game.utility, 10, "complementary", 100, 3 * seed + number)
            for number, game in enumerate(games)
        ]
        total = shapley.add_rounds(rounds)
        covered.append(np.abs(total.values - exact) <= 1.96 * total.std_errors)
    assert 0.9 <= np.mean(covered) <= 0.99


@pytest.mark.parametrize(
    ("arguments", "field"),
    [
        ({"rounds": []}, "rounds"),
        ({"weights": [1.0]}, "weights"),
        ({"weights": [1.0, math.nan]}, "weights"),
        ({"rounds": [given([1.0], [0.0]), given([1.0, 2.0], [0.0, 0.0])]}, "players"),
        ({"players": [[0, 1]]}, "players"),
        ({"players": [[0, 1], [0]]}, "players"),
        ({"players": [[0, 1], [1, 1]]}, "players"),
        ({"players": [[0, 1], [-1, 1]]}, "players"),
    ],
)
def test_rounds_that_do_not_fit_are_refused(arguments: dict[str, Any], field: str) -> None:
    two = [given([1.0, 2.0], [0.0, 0.0])] * 2
    with pytest.raises(RefusalError) as refused:
        shapley.add_rounds(**{"rounds": two, **arguments})
    assert (refused.value.code, refused.value.field) == (ShapleyCode.BAD_ROUNDS, field)
