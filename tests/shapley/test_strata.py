"""Strata of coalitions by size."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedcoin.shapley.strata import allocate, draw_coalitions, num_pairs


@pytest.mark.parametrize("players", [4, 7, 10])
def test_pairs_are_counted(players: int) -> None:
    for size in range(1, players // 2 + 1):
        everybody = frozenset(range(players))
        pairs = {
            frozenset([frozenset(members), everybody - frozenset(members)])
            for members in itertools.combinations(range(players), size)
        }
        assert num_pairs(players, size) == len(pairs)


@pytest.mark.parametrize(("players", "size", "count"), [(8, 4, 35), (8, 3, 20), (40, 20, 60)])
def test_drawn_coalitions_are_different_and_not_complementary(
    players: int, size: int, count: int
) -> None:
    rows = draw_coalitions(players, size, count, np.random.default_rng(0))
    assert rows.shape == (count, players)
    assert (rows.sum(axis=1) == size).all()
    both = np.concatenate([rows, ~rows])
    assert len({row.tobytes() for row in both}) == 2 * count


@pytest.mark.parametrize(("players", "size"), [(10, 3), (10, 5), (40, 7), (40, 20)])
def test_more_coalitions_continue_the_same_sample(players: int, size: int) -> None:
    few, many = np.random.default_rng(3), np.random.default_rng(3)
    first, longer = (
        draw_coalitions(players, size, count, rng) for count, rng in ((25, few), (90, many))
    )
    np.testing.assert_array_equal(longer[:25], first)
    # And so do the strata that are drawn after this one.
    after, after_longer = (draw_coalitions(players, 6, 25, rng) for rng in (few, many))
    np.testing.assert_array_equal(after, after_longer)


@given(
    st.integers(0, 200),
    st.lists(st.tuples(st.integers(0, 50), st.floats(0, 10)), min_size=1, max_size=8),
)
def test_allocation_keeps_to_capacities_and_spends_all_it_can(
    total: int, strata: list[tuple[int, float]]
) -> None:
    capacities, shares = [cap for cap, _ in strata], [share for _, share in strata]
    given_units = allocate(total, capacities, shares)
    assert all(0 <= units <= cap for units, cap in zip(given_units, capacities, strict=True))
    room = sum(cap for cap, share in strata if share > 0)
    assert sum(given_units) == min(total, room)


def test_allocation_follows_the_shares() -> None:
    assert allocate(60, [100, 100, 100], [1.0, 2.0, 3.0]) == [10, 20, 30]
    assert allocate(60, [100, 100, 12], [1.0, 2.0, 3.0]) == [16, 32, 12]
    assert allocate(1, [5, 5], [1.0, 1.5]) == [0, 1]


def test_small_coalitions_share_the_players_evenly() -> None:
    rows = draw_coalitions(40, 4, 30, np.random.default_rng(1))
    assert (rows.sum(axis=0) == 3).all()


@pytest.mark.parametrize("size", [6, 13, 19, 20])
def test_large_coalitions_do_not_avoid_each_other(size: int) -> None:
    """A half of the players and the other half tell the same: they would count as one."""
    rows = draw_coalitions(40, size, 400, np.random.default_rng(1)).astype(float)
    overlaps = (rows[:-1] * rows[1:]).sum(axis=1)
    assert overlaps.mean() == pytest.approx(size**2 / 40, rel=0.1)
