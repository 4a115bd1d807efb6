"""A game that behaves like training: right answers as a function of who takes part.

The utility of a coalition c is

    size * (0.1 + 0.85 * (1 - exp(-sum of the members' strengths)) + noise * u(c))

where u(c) in [-1/2, 1/2) is a hash of the coalition: a model learns most from the first good
updates, a bad update takes something away, and images near a border between classes flip.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fedcoin.incentive.proof.layouts import Bools, Ints


@dataclass
class SaturatingGame:
    """A simulated game: the right answers of coalitions, which the fields determine."""

    # The number of clients.
    clients: int
    # The number of examples in the evaluation set.
    size: int = 1_000
    # The seed of the strengths and of the noise.
    seed: int = 1
    # The noise's range, as a share of the evaluation set.
    noise: float = 0.01
    # Factor of all strengths: with a large one the first client to join adds nearly everything.
    steepness: float = 1.6

    def __post_init__(self) -> None:
        rng = np.random.default_rng(self.seed)
        strength = np.linspace(2.2, -0.25, self.clients) / self.clients
        self._strength = strength * rng.uniform(0.9, 1.1, self.clients) * self.steepness
        self._hash = rng.integers(1, 1 << 62, self.clients, dtype=np.uint64) | np.uint64(1)

    def __call__(self, coalitions: Bools) -> Ints:
        """Evaluate coalitions.

        Args:
            coalitions: True where a client takes part, bool (m, clients).

        Returns:
            Right answers, int64 (m,), from 0 to `size`.
        """
        members = np.asarray(coalitions, dtype=bool)
        learnt = 0.1 + 0.85 * (1 - np.exp(-np.maximum(members @ self._strength, 0)))
        mixed = (members * self._hash).sum(axis=1, dtype=np.uint64)
        mixed = (mixed ^ (mixed >> np.uint64(31))) * np.uint64(0x9E3779B97F4A7C15)
        noise = (mixed >> np.uint64(11)).astype(np.float64) / (1 << 53) - 0.5
        counts = np.rint(self.size * (learnt + self.noise * noise)).astype(np.int64)
        clipped: Ints = np.clip(counts, 0, self.size)
        return clipped

    def table(self) -> Ints:
        """Evaluate all coalitions.

        Returns:
            Right answers, int64 (2^clients,), by the coalition's bit mask.
        """
        masks = np.arange(1 << self.clients)
        return self((masks[:, None] >> np.arange(self.clients)) & 1 == 1)

    def values(self) -> NDArray[np.float64]:
        """Compute the exact Shapley values.

        Returns:
            The values, float64 (clients,), as shares of the evaluation set.
        """
        from fedcoin.shapley import estimate

        result = estimate(lambda c: self(c) / self.size, self.clients, method="exact")
        return result.values
