"""Which coalitions to look at: strata of one size and its complements, drawn without repeats."""

from __future__ import annotations

import math
from itertools import combinations

import numpy as np

from fedcoin.shapley.array_types import Bools

_LISTED = 1 << 14
"""Strata up to this size are listed, larger ones drawn from."""


def pairs_in(players: int, size: int) -> int:
    """How many pairs of a coalition of this size (up to n / 2) and its complement there are."""
    count = math.comb(players, size)
    return count // 2 if 2 * size == players else count


def draw(players: int, size: int, count: int, rng: np.random.Generator) -> Bools:
    """Distinct coalitions of one size up to n / 2, no two complementary: bool (count, n).

    Small strata are drawn from at random, or listed whole; in large ones the coalitions are
    consecutive pieces of random orders, which gives each player about the same share of them.
    """
    total = pairs_in(players, size)
    if total <= max(_LISTED, 4 * count):
        kept = np.arange(total) if count >= total else rng.permutation(total)[:count]
        return _listed(players, size, total)[kept]
    found: dict[bytes, Bools] = {}
    while len(found) < count:
        order = rng.permutation(players)
        for start in range(0, players - size + 1, size):
            row = np.zeros(players, np.bool_)
            row[order[start : start + size]] = True
            if 2 * size == players and not row[0]:
                row = ~row
            found.setdefault(row.tobytes(), row)
    return np.array(list(found.values())[:count])


def _listed(players: int, size: int, total: int) -> Bools:
    """The whole stratum; of complementary halves the ones with player 0, which come first."""
    rows = np.zeros((total, players), np.bool_)
    for row, members in zip(rows, combinations(range(players), size), strict=False):
        row[list(members)] = True
    return rows


def spread(total: int, capacities: list[int], shares: list[float]) -> list[int]:
    """``total`` units in proportion to ``shares``, none above its capacity; whole numbers."""
    given = [0] * len(capacities)
    while True:
        left = total - sum(given)
        open_places = [i for i, most in enumerate(capacities) if given[i] < most and shares[i] > 0]
        if left <= 0 or not open_places:
            return given
        weight = sum(shares[i] for i in open_places)
        parts = {i: int(left * shares[i] / weight) for i in open_places}
        if not any(parts.values()):
            for i in sorted(open_places, key=lambda i: -shares[i])[:left]:
                given[i] += 1
            continue
        for i, part in parts.items():
            given[i] = min(capacities[i], given[i] + part)
