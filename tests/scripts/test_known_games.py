"""The benchmark's games of known values have these values."""

from __future__ import annotations

import numpy as np
import pytest

from fedcoin import shapley
from scripts.benchmarks import known_games
from scripts.benchmarks.known_games import KnownGame


@pytest.mark.parametrize(
    "game",
    [
        known_games.make_voting_game("votes", [3, 5, 1, 1, 7, 2, 9], 15, 3, 6),
        known_games.make_voting_game("votes without weight", [0, 4, 0, 2, 2], 5),
        known_games.make_airport(9, 1),
        known_games.make_glove(3, 6),
        known_games.make_unanimity(8, 3),
        known_games.make_duplicates(9, 3, 1),
    ],
    ids=lambda game: str(game.name),
)
def test_values_are_those_of_all_coalitions(game: KnownGame) -> None:
    exact = shapley.estimate(game.utility, len(game.values), "exact").values
    np.testing.assert_allclose(game.values, exact, rtol=0, atol=1e-12 * np.abs(exact).max() * 100)


def test_a_permanent_member_of_the_security_council_has_the_textbook_value() -> None:
    values = known_games.make_security_council().values
    assert values[0] == pytest.approx(421 / 2145, abs=1e-15)
    assert values[5] == pytest.approx(4 / 2145, abs=1e-15)


def test_values_of_large_games_add_up() -> None:
    for game in known_games.make_known_games():
        n = len(game.values)
        none, everyone = game.utility(np.array([[False] * n, [True] * n]))
        assert game.values.sum() == pytest.approx(everyone - none, rel=1e-12), game.name


def test_all_electors_and_members_are_counted() -> None:
    assert (sum(known_games.US_ELECTORS), len(known_games.US_ELECTORS)) == (538, 51)
    assert len(known_games.EU_POPULATIONS) == 27
