"""EXACT schedule: all 2^n coalitions in fixed leaves, weighted as in Shapley's formula.

Notation, in addition to that of `layouts`:

    w(s) = 1 / (n C(n-1, s))      weight of a coalition of s other clients
    L = lcm(1, ..., n)            every w(s) is a multiple of 1 / L, as n C(n-1, s) divides L
    B = max(1, 2^n / 64)          masks in a leaf, so that there are at most 64 leaves

The value of client k is (Shapley, "A value for n-person games", 1953, with the terms ordered by
coalition)

    S_k = sum over T with k of u(T) w(|T| - 1)  -  sum over T without k of u(T) w(|T|)

Vectors are sums of u(T) L w, so that they are integers. A coalition is a mask from 0 to 2^n - 1,
of which bit k says whether client k takes part. Leaf j holds the masks j B to j B + B - 1.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from fedcoin.incentive.proof.layouts import Bools, Ints

MAX_EXACT_CLIENTS = 16
"""The largest number of clients of whom all coalitions are evaluated."""
MAX_LEAVES = 64
"""The largest number of leaves; with more coalitions, each leaf holds several."""


def _common_denominator(clients: int) -> int:
    """Compute L = lcm(1, ..., n)."""
    return math.lcm(*range(1, clients + 1))


def integer_weights(clients: int) -> list[int]:
    """Compute the weights in Shapley's formula, times L = lcm(1, ..., n) so that they are integers.

    Args:
        clients: Number of clients, n.

    Returns:
        n integers, L / (n C(n-1, s)) for s = 0 to n - 1.
    """
    scale = _common_denominator(clients)
    return [scale // (clients * math.comb(clients - 1, s)) for s in range(clients)]


def _masks_to_coalitions(masks: Ints, clients: int) -> Bools:
    """Turn masks (m,) into rows of memberships (m, n)."""
    bits: Ints = (masks[:, None] >> np.arange(clients)) & 1
    return bits.astype(np.bool_)


def contribution_coefficients(masks: Ints, clients: int) -> Ints:
    """Compute how much a utility of 1 adds to each client's sum.

    Args:
        masks: The coalitions T as masks, int64 (m,), each from 0 to 2^n - 1.
        clients: Number of clients, n.

    Returns:
        int64 (m, n): L w(|T| - 1) for members of coalition T and -L w(|T|) for all others, with L
        and w(s) as in the module's notation.
    """
    members = _masks_to_coalitions(masks, clients)
    sizes = members.sum(axis=1)
    weights = np.array(integer_weights(clients), dtype=np.int64)
    gain = weights[np.maximum(sizes - 1, 0)]
    loss = weights[np.minimum(sizes, clients - 1)]
    coefficients: Ints = np.where(members, gain[:, None], -loss[:, None])
    return coefficients


@lru_cache(maxsize=MAX_EXACT_CLIENTS)
def _cumulative_coefficients(clients: int) -> tuple[Ints, Ints]:
    """Sum the negative and the positive coefficients over the leaves before each leaf.

    Mask 0 and the full mask are left out: their utilities are known. Shape (leaves + 1, n) each.
    """
    coefficients = contribution_coefficients(np.arange(1 << clients), clients)
    coefficients[0] = 0
    coefficients[-1] = 0
    leaves = coefficients.reshape(min(1 << clients, MAX_LEAVES), -1, clients)
    cumulative = []
    for part in (np.minimum(leaves, 0), np.maximum(leaves, 0)):
        total = np.zeros((len(leaves) + 1, clients), dtype=np.int64)
        np.cumsum(part.sum(axis=1), axis=0, out=total[1:])
        total.setflags(write=False)
        cumulative.append(total)
    return cumulative[0], cumulative[1]


@dataclass(frozen=True, slots=True)
class ExactLayout:
    """The leaves of all coalitions, equal for every task and miner; implements `Layout`."""

    clients: int
    """Number of clients, n; 1 to 16."""

    @property
    def leaves(self) -> int:
        """Number of leaves, always N."""
        return min(1 << self.clients, MAX_LEAVES)

    @property
    def leaf_length(self) -> int:
        """Number of masks in a leaf, B."""
        return (1 << self.clients) // self.leaves

    @property
    def cycle_length(self) -> int:
        """The number of leaves: only all of them together give S."""
        return self.leaves

    @property
    def pair_length(self) -> int:
        """1: no leaf is the reverse of another."""
        return 1

    def denominator(self, samples: int) -> int:
        """Implement `Layout.denominator`: L, whatever `samples` is."""
        return _common_denominator(self.clients)

    def evaluations(self, samples: int) -> int:
        """Implement `Layout.evaluations`: all 2^n coalitions, whatever `samples` is."""
        return 1 << self.clients

    def coalitions(self, index: int) -> Bools:
        """Implement `Layout.coalitions`: the masks of one leaf, in ascending order."""
        return _masks_to_coalitions(self._masks(index), self.clients)

    def mask_implied(self, indices: Ints, utilities: Ints, grand: int, truncation: int) -> Bools:
        """Implement `Layout.mask_implied`: mask 0 and the full mask."""
        implied = np.zeros(utilities.shape, dtype=np.bool_)
        implied[indices == 0, 0] = True
        implied[indices == self.leaves - 1, -1] = True
        return implied

    def implied_values(self, indices: Ints, grand: int, empty: int) -> Ints:
        """Implement `Layout.implied_values`: `empty` for mask 0, `grand` everywhere else."""
        values = np.full((len(indices), self.leaf_length), grand, dtype=np.int64)
        values[indices == 0, 0] = empty
        return values

    def contributions(self, indices: Ints, utilities: Ints, grand: int, empty: int) -> Ints:
        """Implement `Layout.contributions`: multiply utilities by coefficients."""
        vectors = np.empty((len(indices), self.clients), dtype=np.int64)
        for row, index in enumerate(indices.tolist()):
            coefficients = contribution_coefficients(self._masks(index), self.clients)
            vectors[row] = utilities[row] @ coefficients
        return vectors

    def sum_bounds(
        self, first: Ints, count: Ints, max_utility: int, grand: int, empty: int
    ) -> tuple[Ints, Ints]:
        """Implement `Layout.sum_bounds`: exact bounds, each utility at 0 or E."""
        low, high = _cumulative_coefficients(self.clients)
        weights = integer_weights(self.clients)
        fixed = np.where(first + count == self.leaves, grand * weights[-1], 0)
        fixed -= np.where(first == 0, empty * weights[0], 0)
        return (
            (low[first + count] - low[first]) * max_utility + fixed[:, None],
            (high[first + count] - high[first]) * max_utility + fixed[:, None],
        )

    def efficiency_sums(self, first: Ints, count: Ints, grand: int, empty: int) -> Ints:
        """Implement `Layout.efficiency_sums`: only the first and the last mask count.

        The full mask (the last leaf) adds L times `grand` to the sum, mask 0 (the first leaf)
        subtracts L times `empty`; the contributions of every other mask add up to 0.
        """
        scale = _common_denominator(self.clients)
        sums: Ints = np.where(first + count == self.leaves, scale * grand, 0)
        sums -= np.where(first == 0, scale * empty, 0)
        return sums

    def _masks(self, index: int) -> Ints:
        start = index * self.leaf_length
        return np.arange(start, start + self.leaf_length, dtype=np.int64)
