"""PERMUTATION and ANTITHETIC: clients join one by one, in an order that nobody chose.

A walk over an order p holds the utilities of its n prefixes; client p[j] is credited with the
utility of the prefix that ends with it less the one before (paper, Algorithm 1). PERMUTATION: leaf
i is the walk over the i-th order. ANTITHETIC: base order i // n, rotated to the left by i % n,
and then its reverse: in every n leaves of one base each client stands once at each place.

Once a prefix is within ``truncation`` right answers of the grand coalition, all later utilities of
that walk are by definition the grand one's (TMC-Shapley, Ghorbani and Zou 2019), so that each walk
still shares out exactly grand - empty. The empty prefix does not count for that.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np

from fedcoin.incentive.layouts import Bools, Ints
from fedcoin.incentive.streams import HashStream


def shuffled(seed: bytes, clients: int) -> list[int]:
    """0 to ``clients - 1`` in an order drawn from ``seed``: Fisher-Yates from the end down."""
    stream = HashStream(seed)
    order = list(range(clients))
    for place in range(clients - 1, 0, -1):
        other = stream.below(place + 1)
        order[place], order[other] = order[other], order[place]
    return order


@dataclass(frozen=True, slots=True)
class Walks:
    """The layout of one miner's walks. Seeds: SHA-256(task id || public key || order number)."""

    clients: int
    antithetic: bool
    task_id: bytes
    public_key: bytes

    @property
    def walks(self) -> int:
        """Walks in a leaf."""
        return 2 if self.antithetic else 1

    @property
    def leaf_length(self) -> int:
        """n utilities a walk."""
        return self.walks * self.clients

    @property
    def cycle(self) -> int:
        """The rotations of one base order; each order stands alone under PERMUTATION."""
        return self.clients if self.antithetic else 1

    def denominator(self, samples: int) -> int:
        """The number of walks."""
        return self.walks * samples

    def evaluations(self, samples: int) -> int:
        """Each prefix of each walk, cut short or not."""
        return self.leaf_length * samples

    def orders(self, index: int) -> list[list[int]]:
        """The orders of leaf ``index``, one a walk."""
        if not self.antithetic:
            return [self._base(index)]
        base, turn = divmod(index, self.clients)
        order = self._base(base)
        order = order[turn:] + order[:turn]
        return [order, order[::-1]]

    def coalitions(self, index: int) -> Bools:
        """Each walk's prefixes, of 1 to n clients."""
        orders = np.array(self.orders(index))
        places = np.argsort(orders, axis=1)
        prefixes = places[:, None, :] <= np.arange(self.clients)[None, :, None]
        return prefixes.reshape(self.leaf_length, self.clients)

    def implied(self, indices: Ints, utilities: Ints, grand: int, truncation: int) -> Bools:
        """The whole prefixes, and everything after a walk came within ``truncation``."""
        walks = utilities.reshape(len(indices), self.walks, self.clients)
        known = np.zeros(walks.shape, dtype=np.bool_)
        known[..., -1] = True
        if truncation:
            close = np.abs(walks - grand) <= truncation
            known[..., 1:] |= np.logical_or.accumulate(close[..., :-1], axis=-1)
        return known.reshape(utilities.shape)

    def implied_values(self, indices: Ints, grand: int, empty: int) -> Ints:
        """``grand`` everywhere."""
        return np.full((len(indices), self.leaf_length), grand, dtype=np.int64)

    def contributions(self, indices: Ints, utilities: Ints, grand: int, empty: int) -> Ints:
        """Marginal contributions of each walk, added up by client."""
        orders = np.array([self.orders(index) for index in indices.tolist()], dtype=np.int64)
        orders = orders.reshape(len(indices), self.walks, self.clients)
        walks = utilities.reshape(orders.shape)
        marginals = np.diff(walks, axis=-1, prepend=np.int64(empty))
        sums = np.zeros((len(indices), self.clients), dtype=np.int64)
        rows = np.arange(len(indices))[:, None]
        for walk in range(self.walks):
            # Within one walk each client appears once, so no addition is lost.
            sums[rows, orders[:, walk]] += marginals[:, walk]
        return sums

    def bounds(
        self, first: Ints, count: Ints, size: int, grand: int, empty: int
    ) -> tuple[Ints, Ints]:
        """A marginal is within one evaluation size, each way."""
        reach = np.repeat((count * (self.walks * size))[:, None], self.clients, axis=1)
        return -reach, reach

    def net(self, first: Ints, count: Ints, grand: int, empty: int) -> Ints:
        """Each walk shares out grand - empty."""
        return count * (self.walks * (grand - empty))

    def _base(self, number: int) -> list[int]:
        seed = hashlib.sha256(self.task_id + self.public_key + number.to_bytes(8, "big")).digest()
        return shuffled(seed, self.clients)
