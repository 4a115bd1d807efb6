"""PERMUTATION and ANTITHETIC: orders, prefixes, truncation and bounds."""

from __future__ import annotations

import hashlib
from collections import Counter

import numpy as np
import pytest

from fedcoin.incentive.proof.walk_layout import WalkLayout, shuffle

TASK, KEY = b"t" * 32, b"k" * 32


def layout(clients: int, *, antithetic: bool = False) -> WalkLayout:
    return WalkLayout(clients, antithetic, TASK, KEY)


def test_every_order_is_as_likely_as_another() -> None:
    counts = Counter(tuple(shuffle(b"%d" % seed, 3)) for seed in range(6_000))
    assert len(counts) == 6
    # Chi-square with 5 degrees of freedom; 20.5 is the 99.9th percentile.
    assert sum((count - 1000) ** 2 / 1000 for count in counts.values()) < 20.5


def test_orders_depend_on_task_miner_and_index() -> None:
    order = layout(20).order(0)
    assert order == shuffle(hashlib.sha256(TASK + KEY + bytes(8)).digest(), 20)
    assert order != layout(20).order(1)
    assert order != WalkLayout(20, False, b"u" * 32, KEY).order(0)
    assert order != WalkLayout(20, False, TASK, b"l" * 32).order(0)


def test_antithetic_orders_are_rotations_and_their_reverses() -> None:
    walks = [layout(5, antithetic=True).order(index) for index in range(10)]
    pairs = list(zip(walks[::2], walks[1::2], strict=True))
    base = shuffle(hashlib.sha256(TASK + KEY + bytes(8)).digest(), 5)
    for turn, (forward, backward) in enumerate(pairs):
        assert forward == base[turn:] + base[:turn]
        assert backward == forward[::-1]
    # Each client is at each position once.
    assert all(len(set(column)) == 5 for column in zip(*[pair[0] for pair in pairs], strict=True))
    assert layout(5, antithetic=True).order(10) == layout(5).order(1)


@pytest.mark.parametrize("antithetic", [False, True])
@pytest.mark.parametrize("clients", [1, 2, 9])
def test_coalitions_are_growing_prefixes(clients: int, antithetic: bool) -> None:
    walks = layout(clients, antithetic=antithetic)
    order = walks.order(3)
    for place, prefix in enumerate(walks.coalitions(3)):
        assert np.flatnonzero(prefix).tolist() == sorted(order[: place + 1])


@pytest.mark.parametrize("antithetic", [False, True])
def test_contributions_are_marginals(antithetic: bool) -> None:
    walks, empty = layout(6, antithetic=antithetic), 4
    utilities = np.random.default_rng(1).integers(0, 90, size=(3, walks.leaf_length))
    vectors = walks.contributions(np.array([2, 7, 9]), utilities, 0, empty)
    for row, index in enumerate([2, 7, 9]):
        expected = [0] * 6
        before = empty
        for client, value in zip(walks.order(index), utilities[row].tolist(), strict=True):
            expected[client] += value - before
            before = value
        assert vectors[row].tolist() == expected


def test_truncation_fixes_what_follows_the_first_close_prefix() -> None:
    walks = layout(5, antithetic=True)
    utilities = np.array([[10, 95, 40, 98, 100], [10, 20, 30, 40, 100]])
    known = walks.mask_implied(np.array([0, 1]), utilities, 100, 5)
    assert known.astype(int).tolist() == [[0, 0, 1, 1, 1], [0, 0, 0, 0, 1]]
    untruncated = walks.mask_implied(np.array([0, 1]), utilities, 100, 0)
    assert untruncated.astype(int).tolist() == [[0, 0, 0, 0, 1]] * 2


def test_bounds_and_net_follow_the_walks() -> None:
    walks = layout(3, antithetic=True)
    low, high = walks.sum_bounds(np.array([0, 4]), np.array([4, 1]), 100, 80, 30)
    assert high.tolist() == [[400] * 3, [100] * 3]
    assert (low == -high).all()
    assert walks.efficiency_sums(np.array([0, 4]), np.array([4, 1]), 80, 30).tolist() == [200, 50]
    assert walks.denominator(10) == 10
    assert walks.evaluations(10) == 30
    assert (walks.cycle_length, walks.pair_length) == (6, 2)
    assert (layout(3).cycle_length, layout(3).pair_length) == (1, 1)
