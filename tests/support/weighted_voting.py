"""Weighted voting games with exact Shapley and Banzhaf values, counted by generating functions.

A game has one or two rules of the form "the members' weights reach a quota"; a coalition wins when
it meets all of them. The generating function of the coalitions without player i has a coefficient
for each size and sum of weights (Cantor's method, in Lucas, "Measuring power in weighted voting
systems", 1983).
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Bools = NDArray[np.bool_]
Floats = NDArray[np.float64]


class WeightedVote(NamedTuple):
    """A coalition wins when its weights reach the quota and it has enough members."""

    weights: tuple[int, ...]
    quota: int
    min_members: int = 0

    def wins(self, coalitions: Bools) -> Floats:
        """Return 1.0 for each winning coalition of bool (m, n), otherwise 0.0."""
        heavy = coalitions @ np.array(self.weights) >= self.quota
        return (heavy & (coalitions.sum(axis=1) >= self.min_members)).astype(np.float64)

    def values(self) -> Floats:
        """Compute the exact Shapley values, (n,)."""
        n = len(self.weights)
        return self._values(np.array([1 / (n * math.comb(n - 1, size)) for size in range(n)]))

    def banzhaf_values(self) -> Floats:
        """Compute the exact Banzhaf values, (n,)."""
        return self._values(np.full(len(self.weights), 0.5 ** (len(self.weights) - 1)))

    def _values(self, size_weights: Floats) -> Floats:
        of_weight = {weight: self._value(weight, size_weights) for weight in set(self.weights)}
        return np.array([of_weight[weight] for weight in self.weights])

    def _value(self, weight: int, size_weights: Floats) -> float:
        """Sum the swings of a member, each weighted by the size of the others' coalition."""
        n = len(self.weights)
        others = list(self.weights)
        others.remove(weight)
        # Numbers of coalitions of the other players, by size and sum of weights.
        counts = np.zeros((n, sum(others) + 1))
        counts[0, 0] = 1
        for other in others:
            counts[1:, other:] += counts[:-1, : counts.shape[1] - other].copy()
        sums = np.arange(counts.shape[1])
        value = 0.0
        for size in range(n):
            before = (sums >= self.quota) & (size >= self.min_members)
            after = (sums + weight >= self.quota) & (size + 1 >= self.min_members)
            swings = float(counts[size][after & ~before].sum())
            value += swings * float(size_weights[size])
        return value


def security_council() -> WeightedVote:
    """Return the UN Security Council: 5 permanent members of 15, 9 votes and no veto.

    The values are 421/2145 and 4/2145 (Shapley and Shubik, 1954).
    """
    return WeightedVote((7,) * 5 + (1,) * 10, 39)


def european_council() -> WeightedVote:
    """Return a council of 27: 15 members with 65 % of the population, in units of 0.1 %.

    The weights are near the populations of the European Union's members in 2023.
    """
    weights = (
        188, 152, 131, 107, 82, 42, 40, 26, 24, 24, 23, 23, 21, 20, 14, 13, 12, 12, 11, 9, 6, 5, 4,
        3, 2, 2, 1,
    )  # fmt: skip
    return WeightedVote(weights, -(-65 * sum(weights) // 100), 15)


def electoral_college() -> WeightedVote:
    """Return the electoral college of the United States from 2024 on: 270 of 538 electors."""
    weights = (
        54, 40, 30, 28, 19, 19, 17, 16, 16, 15, 14, 13, 12, 11, 11, 11, 11, 10, 10, 10, 10, 10, 9,
        9, 8, 8, 8, 7, 7, 6, 6, 6, 6, 6, 6, 5, 5, 4, 4, 4, 4, 4, 4, 4, 3, 3, 3, 3, 3, 3, 3,
    )  # fmt: skip
    return WeightedVote(weights, 270)
