"""PERMUTATION and ANTITHETIC: clients join one by one, in an order that nobody chose.

A walk over an order p holds the utilities of its n prefixes; client p[j] is credited with the
utility of the prefix that ends with it less the one before (paper, Algorithm 1). Each leaf is one
walk. PERMUTATION: leaf i goes over the i-th order. ANTITHETIC: leaves 2j and 2j + 1 go over base
order j // n, rotated to the left by j % n, and over its reverse: in the 2n leaves of one base each
client stands once at each place of either direction.

A leaf is what is challenged and recomputed as a whole. Were a walk and its reverse one leaf, there
would be half as many, each twice as costly to check, and no harder to forge.

Once a prefix is within ``truncation`` right answers of the grand coalition, all later utilities of
that walk are by definition the grand one's (TMC-Shapley, Ghorbani and Zou 2019), so that each walk
still shares out exactly grand - empty. The empty prefix does not count for that.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from fedcoin.incentive.proof.hash_stream import HashStream
from fedcoin.incentive.proof.layouts import Bools, Ints


def shuffle(seed: bytes, clients: int) -> list[int]:
    """0 to ``clients - 1`` in an order drawn from ``seed``: Fisher-Yates from the end down."""
    stream = HashStream(seed)
    order = list(range(clients))
    for place in range(clients - 1, 0, -1):
        other = stream.draw_below(place + 1)
        order[place], order[other] = order[other], order[place]
    return order


@dataclass(frozen=True, slots=True)
class WalkLayout:
    """The layout of one miner's walks. Seeds: SHA-256(task id || public key || order number)."""

    clients: int
    antithetic: bool
    task_id: bytes
    public_key: bytes

    @property
    def leaf_length(self) -> int:
        """One utility a prefix."""
        return self.clients

    @property
    def cycle_length(self) -> int:
        """The rotations of one base order and their reverses; orders are alone in PERMUTATION."""
        return 2 * self.clients if self.antithetic else 1

    @property
    def pair_length(self) -> int:
        """A walk and its reverse."""
        return 2 if self.antithetic else 1

    def denominator(self, samples: int) -> int:
        """The number of walks."""
        return samples

    def evaluations(self, samples: int) -> int:
        """Each prefix of each walk, cut short or not."""
        return self.clients * samples

    def order(self, index: int) -> list[int]:
        """In which order the clients join in leaf ``index``."""
        if not self.antithetic:
            return self._base(index)
        pair, backwards = divmod(index, 2)
        base, turn = divmod(pair, self.clients)
        order = self._base(base)
        order = order[turn:] + order[:turn]
        return order[::-1] if backwards else order

    def coalitions(self, index: int) -> Bools:
        """The prefixes, of 1 to n clients."""
        places = np.argsort(self.order(index))
        prefixes: Bools = places[None, :] <= np.arange(self.clients)[:, None]
        return prefixes

    def mask_implied(self, indices: Ints, utilities: Ints, grand: int, truncation: int) -> Bools:
        """The whole prefixes, and everything after a walk came within ``truncation``."""
        known = np.zeros(utilities.shape, dtype=np.bool_)
        known[:, -1] = True
        if truncation:
            close = np.abs(utilities - grand) <= truncation
            known[:, 1:] |= np.logical_or.accumulate(close[:, :-1], axis=1)
        return known

    def implied_values(self, indices: Ints, grand: int, empty: int) -> Ints:
        """``grand`` everywhere."""
        return np.full((len(indices), self.leaf_length), grand, dtype=np.int64)

    def contributions(self, indices: Ints, utilities: Ints, grand: int, empty: int) -> Ints:
        """Marginal contributions, by client."""
        orders = np.array([self.order(index) for index in indices.tolist()], dtype=np.int64)
        sums = np.zeros((len(indices), self.clients), dtype=np.int64)
        marginals = np.diff(utilities, axis=1, prepend=np.int64(empty))
        np.put_along_axis(sums, orders.reshape(sums.shape), marginals, axis=1)
        return sums

    def sum_bounds(
        self, first: Ints, count: Ints, size: int, grand: int, empty: int
    ) -> tuple[Ints, Ints]:
        """A marginal is within one evaluation size, each way."""
        reach = np.repeat((count * size)[:, None], self.clients, axis=1)
        return -reach, reach

    def efficiency_sums(self, first: Ints, count: Ints, grand: int, empty: int) -> Ints:
        """Each walk shares out grand - empty."""
        return count * (grand - empty)

    def _base(self, number: int) -> list[int]:
        seed = hashlib.sha256(self.task_id + self.public_key + number.to_bytes(8, "big")).digest()
        return list(_kept(seed, self.clients))


@lru_cache(maxsize=16)
def _kept(seed: bytes, clients: int) -> tuple[int, ...]:
    """Leaves that follow each other mostly share their base order."""
    return tuple(shuffle(seed, clients))
