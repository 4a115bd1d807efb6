"""Strata of coalitions by size: how many there are, drawing from them, sharing out a budget.

A stratum holds the pairs of a coalition of one size s, up to n / 2, and its complement.
"""

from __future__ import annotations

import math
from itertools import combinations

import numpy as np

from fedcoin.shapley.array_types import Bools

_MAX_LISTED = 1 << 14
"""The largest number of pairs in a stratum that is listed in full and drawn from. In larger strata
coalitions are generated at random until there are enough different ones."""
_MIN_PIECES = 8
"""The smallest number of disjoint coalitions that are cut from one order of the players. Whether a
player is in one piece tells that it is not in the others, and this shows in the products of
memberships and utilities, so that large pieces of one order count as little more than one: two
halves but for a player have 2 times the variance of independent coalitions, pieces of a third 1.3
times, of an eighth 0.9 to 1.1 times, and pairs 0.4 to 0.7 times (nine games of 27 to 100 players).
"""


def num_pairs(players: int, size: int) -> int:
    """Count the pairs of a stratum.

    Args:
        players: Number of players, n.
        size: Size of the smaller coalition, 1 to n / 2.

    Returns:
        The number of unordered pairs of a coalition of that size and its complement.
    """
    count = math.comb(players, size)
    return count // 2 if 2 * size == players else count


def draw_coalitions(players: int, size: int, count: int, rng: np.random.Generator) -> Bools:
    """Draw different coalitions of one size, no two of them complementary.

    Strata of up to 16,384 pairs, or four times `count`, are listed, and `count` of them are drawn
    without replacement. In larger ones coalitions of at most an eighth of the players are
    consecutive pieces of random orders, which gives all players about the same share of them, and
    larger coalitions are drawn independently. A larger `count` gives the same coalitions and more,
    unless the stratum is listed for the larger count only.

    Args:
        players: Number of players, n.
        size: Size of the coalitions, 1 to n / 2.
        count: How many coalitions to draw, at most `num_pairs(players, size)`.
        rng: Source of randomness.

    Returns:
        bool (count, n), in random order: any first part of them is a random sample, too.
    """
    total = num_pairs(players, size)
    if total <= max(_MAX_LISTED, 4 * count):
        return _list_stratum(players, size, total)[rng.permutation(total)[:count]]
    rows: dict[bytes, Bools] = {}
    # With a stream of its own, so that the draws that follow do not depend on the count.
    stream = rng.spawn(1)[0]
    pieces = players // size if _MIN_PIECES * size <= players else 1
    while len(rows) < count:
        order = stream.permutation(players)
        for start in range(0, pieces * size, size):
            row = np.zeros(players, np.bool_)
            row[order[start : start + size]] = True
            if 2 * size == players and not row[0]:
                row = ~row
            rows.setdefault(row.tobytes(), row)
    return np.array(list(rows.values())[:count])


def _list_stratum(players: int, size: int, total: int) -> Bools:
    """List one coalition of each pair; of two halves the one with player 0, which comes first."""
    rows = np.zeros((total, players), np.bool_)
    for row, members in zip(rows, combinations(range(players), size), strict=False):
        row[list(members)] = True
    return rows


def allocate(total: int, capacities: list[int], shares: list[float]) -> list[int]:
    """Share out a number of units in proportion to shares, within capacities.

    What does not fit into a full stratum goes to the others in the same proportion. The last units,
    too few for a whole one in any proportion, go to the largest shares.

    Args:
        total: How many units to share out, at least 0.
        capacities: The largest number of units of each stratum.
        shares: The weight of each stratum, at least 0; strata with 0 get nothing.

    Returns:
        The units of each stratum. They add up to `total`, or to less when there is no room.
    """
    given = [0] * len(capacities)
    while True:
        left = total - sum(given)
        open_strata = [i for i, cap in enumerate(capacities) if given[i] < cap and shares[i] > 0]
        if left <= 0 or not open_strata:
            return given
        weight = sum(shares[i] for i in open_strata)
        parts = {i: int(left * shares[i] / weight) for i in open_strata}
        if not any(parts.values()):
            for i in sorted(open_strata, key=lambda i: -shares[i])[:left]:
                given[i] += 1
            continue
        for i, part in parts.items():
            given[i] = min(capacities[i], given[i] + part)
