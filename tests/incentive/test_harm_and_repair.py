"""Why no payout by the agreed values alone stops harm and repair (docs/adr/0027).

Utilities are points above the base model's, so that the empty coalition has 0.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import permutations
from math import factorial
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

Utility = Callable[[frozenset[int]], float]


def shapley_values(utility: Utility, n: int) -> NDArray[Any]:
    """Compute exact Shapley values over all orders, shape (n,)."""
    values = np.zeros(n)
    for order in permutations(range(n)):
        for index, player in enumerate(order):
            before = frozenset(order[:index])
            values[player] += utility(before | {player}) - utility(before)
    return values / factorial(n)


def best_within(utility: Utility) -> Utility:
    """Return the game in which a coalition is worth what its best part is: its monotone cover."""

    def cover(coalition: frozenset[int]) -> float:
        members = sorted(coalition)
        parts = (
            frozenset(m for bit, m in enumerate(members) if mask >> bit & 1)
            for mask in range(1 << len(members))
        )
        return max(utility(part) for part in parts)

    return cover


def table_game(values: list[int], n: int) -> Utility:
    """Make a game from the utilities of the coalitions that are not empty."""
    table = {frozenset[int](): 0, **dict(zip(_coalitions(n), values, strict=True))}
    return lambda coalition: table[coalition]


def _coalitions(n: int) -> list[frozenset[int]]:
    return [frozenset(k for k in range(n) if mask >> k & 1) for mask in range(1, 1 << n)]


BOB, ANN, EVE = 0, 1, 2


def helpful_beside_harmful(coalition: frozenset[int]) -> float:
    """Bob's update alone gains 40 points, and Ann's costs 40."""
    return 40.0 * (BOB in coalition) - 40.0 * (ANN in coalition)


def harm_and_repair(coalition: frozenset[int]) -> float:
    """Ann sinks the model by 80 points unless Bob's update is there, which gains nothing."""
    return -80.0 if coalition == {ANN} else 0.0


def test_two_games_with_one_vector_of_values_call_for_different_payouts() -> None:
    helpful, repaired = helpful_beside_harmful, harm_and_repair
    everybody = frozenset({BOB, ANN})
    assert helpful(everybody) == repaired(everybody) == 0
    assert shapley_values(helpful, 2).tolist() == shapley_values(repaired, 2).tolist() == [40, -40]
    # Without Ann, Bob raises the model by 40 points in the one game, and by none in the other.
    assert (helpful(frozenset({BOB})), repaired(frozenset({BOB}))) == (40, 0)
    assert shapley_values(best_within(helpful), 2).tolist() == [40, 0]
    assert shapley_values(best_within(repaired), 2).tolist() == [0, 0]


def test_a_cap_at_the_best_coalitions_gain_lets_accomplices_dilute_the_others_pay() -> None:
    def with_honest(coalition: frozenset[int]) -> float:
        return harm_and_repair(coalition - {EVE}) + 40.0 * (EVE in coalition)

    values = shapley_values(with_honest, 3)
    np.testing.assert_allclose(values, [40, -40, 40])
    best = max(with_honest(c) for c in _coalitions(3))
    assert best == 40
    positive = np.maximum(values, 0)
    assert (positive * best / positive.sum())[EVE] == 20
    np.testing.assert_allclose(shapley_values(best_within(with_honest), 3), [0, 0, 40], atol=1e-12)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(-80, 20), min_size=15, max_size=15))
def test_values_of_the_best_parts_add_up_to_the_best_coalitions_gain(values: list[int]) -> None:
    found = shapley_values(best_within(table_game(values, 4)), 4)
    assert (found >= -1e-9).all()
    assert found.sum() == pytest.approx(max(0, *values))


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.integers(-20, 20), min_size=7, max_size=7),
    st.lists(st.integers(0, 80), min_size=8, max_size=8),
)
def test_who_never_helps_changes_nobodys_value_of_the_best_parts(
    values: list[int], harms: list[int]
) -> None:
    honest = table_game(values, 3)
    harm = dict(zip([frozenset[int](), *_coalitions(3)], harms, strict=True))

    def beside_harm(coalition: frozenset[int]) -> float:
        rest = coalition - {3}
        return honest(rest) - (harm[rest] if 3 in coalition else 0)

    alone = shapley_values(best_within(honest), 3)
    np.testing.assert_allclose(shapley_values(best_within(beside_harm), 4), [*alone, 0], atol=1e-9)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.integers(-80, 20), min_size=15, max_size=15))
def test_a_value_is_bounded_by_what_the_base_can_lose(values: list[int]) -> None:
    best, base = max(0, *values), 80
    found = shapley_values(table_game(values, 4), 4)
    assert found.max() <= best + base * 3 / 4 + 1e-9
    # Two accomplices that play against nobody else.
    pair = shapley_values(table_game(values[:3], 2), 2)
    assert pair.max() <= max(0, *values[:3]) + base / 2 + 1e-9
