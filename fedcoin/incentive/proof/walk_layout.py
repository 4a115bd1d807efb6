"""PERMUTATION and ANTITHETIC schedules: each leaf is a walk along an order of the clients.

A walk over the order p holds the utilities of its n prefixes {p[0]}, {p[0], p[1]}, ..., {all}.
Client p[j] is credited with u(first j + 1 clients) - u(first j clients), its marginal contribution
(the paper's Algorithm 1; Castro, Gómez and Tejada, "Polynomial calculation of the Shapley value
based on sampling", 2009).

* PERMUTATION: leaf i walks along base order i.
* ANTITHETIC: with j = i // 2, leaf i walks along base order j // n rotated to the left by j % n,
  backwards when i is odd. In the 2n leaves of one base order each client has each position once
  in either direction.

Base order k is a Fisher-Yates shuffle of the clients with the seed
SHA-256(task id || public key || k as 8 bytes, big-endian).

One walk is the smallest unit that evidence shows and validators recompute: it shares out exactly
grand - empty, which can be checked without recomputing it (docs/adr/0014).

Truncation (TMC-Shapley; Ghorbani and Zou, "Data Shapley", ICML 2019): as soon as a prefix is
within `truncation` units of the grand coalition, all later utilities of the walk equal
`grand` by definition. The empty prefix does not trigger this.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from fedcoin.incentive.proof.hash_stream import HashStream
from fedcoin.incentive.proof.layouts import Bools, Ints


def shuffle(seed: bytes, clients: int) -> list[int]:
    """Shuffle the clients: Fisher-Yates from the last position down, over a `HashStream`.

    Args:
        seed: The seed of the stream.
        clients: Number of clients, n; at least 1.

    Returns:
        0 to n - 1 in random order, every order equally likely.
    """
    order = list(range(clients))
    others = HashStream(seed).draw_all_below(range(clients, 1, -1))
    for last, other in zip(range(clients - 1, 0, -1), others, strict=True):
        order[last], order[other] = order[other], order[last]
    return order


@dataclass(frozen=True, slots=True)
class WalkLayout:
    """The walks of one miner for one task; implements `Layout`."""

    clients: int
    """Number of clients, n."""
    antithetic: bool
    """True for ANTITHETIC, false for PERMUTATION."""
    task_id: bytes
    """The task's id, 32 bytes."""
    public_key: bytes
    """The miner's, 32 bytes."""

    @property
    def leaf_length(self) -> int:
        """Number of utilities in a leaf: one for each prefix."""
        return self.clients

    @property
    def cycle_length(self) -> int:
        """Number of leaves that share a base order."""
        return 2 * self.clients if self.antithetic else 1

    @property
    def pair_length(self) -> int:
        """2 for a walk and its reverse under ANTITHETIC, otherwise 1."""
        return 2 if self.antithetic else 1

    def denominator(self, samples: int) -> int:
        """Implement `Layout.denominator`: S is the mean over the walks."""
        return samples

    def evaluations(self, samples: int) -> int:
        """Implement `Layout.evaluations`: count all prefixes, truncated or not."""
        return self.clients * samples

    def order(self, index: int) -> list[int]:
        """Compute the order of the clients in a walk.

        Args:
            index: The leaf, from 0.

        Returns:
            The clients, 0 to n - 1, in the order in which they join.
        """
        if not self.antithetic:
            return self._base_order(index)
        pair, is_reversed = divmod(index, 2)
        base, rotation = divmod(pair, self.clients)
        order = self._base_order(base)
        order = order[rotation:] + order[:rotation]
        return order[::-1] if is_reversed else order

    def coalitions(self, index: int) -> Bools:
        """Implement `Layout.coalitions`: the prefixes of 1 to n clients."""
        positions = np.argsort(self.order(index))
        prefixes: Bools = positions[None, :] <= np.arange(self.clients)[:, None]
        return prefixes

    def mask_implied(self, indices: Ints, utilities: Ints, grand: int, truncation: int) -> Bools:
        """Implement `Layout.mask_implied`: the last prefix, and all prefixes after truncation."""
        implied = np.zeros(utilities.shape, dtype=np.bool_)
        implied[:, -1] = True
        if truncation:
            close = np.abs(utilities - grand) <= truncation
            implied[:, 1:] |= np.logical_or.accumulate(close[:, :-1], axis=1)
        return implied

    def implied_values(self, indices: Ints, grand: int, empty: int) -> Ints:
        """Implement `Layout.implied_values`: `grand` everywhere."""
        return np.full((len(indices), self.leaf_length), grand, dtype=np.int64)

    def contributions(self, indices: Ints, utilities: Ints, grand: int, empty: int) -> Ints:
        """Implement `Layout.contributions`: the marginal contribution of each client."""
        orders = np.array([self.order(index) for index in indices.tolist()], dtype=np.int64)
        vectors = np.zeros((len(indices), self.clients), dtype=np.int64)
        marginals = utilities.copy()
        marginals[:, 1:] -= utilities[:, :-1]
        marginals[:, 0] -= empty
        vectors[np.arange(len(indices))[:, None], orders.reshape(vectors.shape)] = marginals
        return vectors

    def sum_bounds(
        self, first: Ints, count: Ints, max_utility: int, grand: int, empty: int
    ) -> tuple[Ints, Ints]:
        """Implement `Layout.sum_bounds`: a marginal contribution is from -E to E."""
        reach = np.repeat((count * max_utility)[:, None], self.clients, axis=1)
        return -reach, reach

    def efficiency_sums(self, first: Ints, count: Ints, grand: int, empty: int) -> Ints:
        """Implement `Layout.efficiency_sums`: `grand` - `empty` for each walk."""
        return count * (grand - empty)

    def _base_order(self, number: int) -> list[int]:
        seed = hashlib.sha256(self.task_id + self.public_key + number.to_bytes(8, "big")).digest()
        return list(_cached_shuffle(seed, self.clients))


@lru_cache(maxsize=16)
def _cached_shuffle(seed: bytes, clients: int) -> tuple[int, ...]:
    """Shuffle as `shuffle` does; consecutive leaves mostly have the same base order."""
    return tuple(shuffle(seed, clients))
