"""EXACT: every coalition, in fixed blocks, weighted as in Shapley's formula.

With w(s) = 1 / (n C(n-1, s)) the value of client k is the sum over coalitions T of u(T) w(|T|-1) if
k is in T, and of -u(T) w(|T|) if not. All w are multiples of 1 / L with L = lcm(1..n), since
n C(n-1, s) divides L: sums are kept in that unit, exactly.

Coalitions are masks from 0 to 2^n - 1 (bit k: client k takes part). Leaf j holds the masks
j B to j B + B - 1, with B = max(1, 2^n / 64): at most 64 leaves.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from fedcoin.incentive.proof.layouts import Bools, Ints

MAX_EXACT_CLIENTS = 16
MAX_LEAVES = 64


def common_denominator(clients: int) -> int:
    """L = lcm(1..n): sums are in multiples of 1 / L right answers."""
    return math.lcm(*range(1, clients + 1))


def integer_weights(clients: int) -> list[int]:
    """L w(s) for s = 0 to n - 1, whole numbers."""
    return [
        common_denominator(clients) // (clients * math.comb(clients - 1, s)) for s in range(clients)
    ]


def masks_to_coalitions(masks: Ints, clients: int) -> Bools:
    """Bit k of each mask as column k: (m,) to (m, n)."""
    bits: Ints = (masks[:, None] >> np.arange(clients)) & 1
    return bits.astype(np.bool_)


def contribution_coefficients(masks: Ints, clients: int) -> Ints:
    """What a utility of 1 for each mask adds to each client's sum: (m, n)."""
    members = masks_to_coalitions(masks, clients)
    sizes = members.sum(axis=1)
    table = np.array(integer_weights(clients), dtype=np.int64)
    gain = table[np.maximum(sizes - 1, 0)]
    loss = table[np.minimum(sizes, clients - 1)]
    signed: Ints = np.where(members, gain[:, None], -loss[:, None])
    return signed


@lru_cache(maxsize=MAX_EXACT_CLIENTS)
def _running_bounds(clients: int) -> tuple[Ints, Ints]:
    """Running sums over leaves of the negative and positive coefficients: (leaves + 1, n) each.

    Mask 0 and the full mask are left out: their utilities are known.
    """
    table = contribution_coefficients(np.arange(1 << clients), clients)
    table[0] = 0
    table[-1] = 0
    blocks = table.reshape(min(1 << clients, MAX_LEAVES), -1, clients)
    running = []
    for part in (np.minimum(blocks, 0), np.maximum(blocks, 0)):
        total = np.zeros((len(blocks) + 1, clients), dtype=np.int64)
        np.cumsum(part.sum(axis=1), axis=0, out=total[1:])
        total.setflags(write=False)
        running.append(total)
    return running[0], running[1]


@dataclass(frozen=True, slots=True)
class ExactLayout:
    """The EXACT layout for ``clients`` clients, the same for every task and miner."""

    clients: int

    @property
    def leaves(self) -> int:
        """How many leaves there are, always."""
        return min(1 << self.clients, MAX_LEAVES)

    @property
    def leaf_length(self) -> int:
        """Masks in a leaf, B."""
        return (1 << self.clients) // self.leaves

    @property
    def cycle_length(self) -> int:
        """All of them."""
        return self.leaves

    @property
    def pair_length(self) -> int:
        """Blocks have none."""
        return 1

    def denominator(self, samples: int) -> int:
        """L, whatever ``samples`` is."""
        return common_denominator(self.clients)

    def evaluations(self, samples: int) -> int:
        """All 2^n coalitions."""
        return 1 << self.clients

    def coalitions(self, index: int) -> Bools:
        """The masks of one block, in rising order."""
        return masks_to_coalitions(self._masks(index), self.clients)

    def mask_implied(self, indices: Ints, utilities: Ints, grand: int, truncation: int) -> Bools:
        """True for mask 0, which is the empty coalition, and the full mask, the grand one."""
        known = np.zeros(utilities.shape, dtype=np.bool_)
        known[indices == 0, 0] = True
        known[indices == self.leaves - 1, -1] = True
        return known

    def implied_values(self, indices: Ints, grand: int, empty: int) -> Ints:
        """``empty`` in the first leaf's first place, ``grand`` elsewhere."""
        values = np.full((len(indices), self.leaf_length), grand, dtype=np.int64)
        values[indices == 0, 0] = empty
        return values

    def contributions(self, indices: Ints, utilities: Ints, grand: int, empty: int) -> Ints:
        """Utilities times coefficients, block by block."""
        sums = np.empty((len(indices), self.clients), dtype=np.int64)
        for row, index in enumerate(indices.tolist()):
            sums[row] = utilities[row] @ contribution_coefficients(self._masks(index), self.clients)
        return sums

    def sum_bounds(
        self, first: Ints, count: Ints, size: int, grand: int, empty: int
    ) -> tuple[Ints, Ints]:
        """Exact bounds: every free utility at whichever end suits."""
        low, high = _running_bounds(self.clients)
        table = integer_weights(self.clients)
        fixed = np.where(first + count == self.leaves, grand * table[-1], 0)
        fixed -= np.where(first == 0, empty * table[0], 0)
        return (
            (low[first + count] - low[first]) * size + fixed[:, None],
            (high[first + count] - high[first]) * size + fixed[:, None],
        )

    def efficiency_sums(self, first: Ints, count: Ints, grand: int, empty: int) -> Ints:
        """L grand with the full mask, less L empty with mask 0: all other masks share out 0."""
        whole = common_denominator(self.clients)
        full = np.where(first + count == self.leaves, whole * grand, 0)
        return full - np.where(first == 0, whole * empty, 0)

    def _masks(self, index: int) -> Ints:
        start = index * self.leaf_length
        return np.arange(start, start + self.leaf_length, dtype=np.int64)
