"""The order of pairs: far apart from each other, and every coalition is as likely as any other."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from fedcoin.shapley.kriging.spread_order import SpreadOrder
from fedcoin.shapley.strata import draw_coalitions, num_pairs

Bools = NDArray[np.bool_]


def order_pairs(n: int, seed: int) -> SpreadOrder:
    """Order all pairs of n players."""
    rng = np.random.default_rng(seed)
    sizes = list(range(1, n // 2 + 1))
    pools = [draw_coalitions(n, size, num_pairs(n, size), rng) for size in sizes]
    return SpreadOrder(n, sizes, pools)


def count_close(rows: Bools) -> int:
    """Count the pairs of coalitions, complements included, that differ by at most two players."""
    both = np.concatenate([rows, ~rows]).astype(np.int64)
    apart = both @ (1 - both).T
    apart = apart + apart.T
    return int(((apart > 0) & (apart <= 2)).sum()) // 2


def test_more_pairs_continue_the_same_order() -> None:
    few, many = order_pairs(9, 1), order_pairs(9, 1)
    short = few.draw([9, 6, 4, 4])
    few.draw([9, 20, 30, 40])
    for first, longer in zip(short, many.draw([9, 20, 30, 40]), strict=True):
        np.testing.assert_array_equal(longer[: len(first)], first)
    for first, again in zip(short, few.draw([9, 6, 4, 4]), strict=True):
        np.testing.assert_array_equal(again, first)


@pytest.mark.parametrize("n", [2, 3, 6, 7])
def test_all_pairs_are_drawn_once(n: int) -> None:
    counts = [num_pairs(n, size) for size in range(1, n // 2 + 1)]
    rows = np.concatenate(order_pairs(n, 0).draw(counts))
    both = np.concatenate([rows, ~rows])
    assert len({row.tobytes() for row in both}) == (1 << n) - 2


def test_drawn_coalitions_are_farther_apart_than_random_ones() -> None:
    counts, spread, random = [15, 15, 15], 0, 0
    for seed in range(4):
        rng = np.random.default_rng(seed)
        rows = order_pairs(10, seed).draw([10, 15, *counts])[2:]
        spread += count_close(np.concatenate(rows))
        drawn = [draw_coalitions(10, 3 + i, count, rng) for i, count in enumerate(counts)]
        random += count_close(np.concatenate(drawn))
    assert spread < 0.6 * random, (spread, random)


def test_every_coalition_is_drawn_as_often_as_any_other() -> None:
    """Frequencies over seeds differ by no more than those of independent draws (chi-square)."""
    repetitions, count = 150, 3
    masks = 1 << np.arange(5)
    drawn = [order_pairs(5, seed).draw([5, count])[1] @ masks for seed in range(repetitions)]
    frequencies = np.bincount(np.concatenate(drawn), minlength=32)
    frequencies = frequencies[[mask.bit_count() == 2 for mask in range(32)]]
    expected = repetitions * count / 10
    chi_square = ((frequencies - expected) ** 2 / expected).sum()
    assert len(frequencies) == 10
    # The 99.9 % quantile of chi-square with 9 degrees of freedom.
    assert chi_square < 27.9
