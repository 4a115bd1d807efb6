"""What coalitions are worth: right answers as a function of who takes part, as training gives them.

A model learns most from the first good updates, and a bad one takes something away; on top of that
lies noise that belongs to the coalition, as when images are close to a border between classes.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from fedcoin.incentive.proof.layouts import Bools, Ints


@dataclass
class SaturatingGame:
    """Right answers (m,) of coalitions (m, n) among ``size`` examples; counts what was asked."""

    clients: int
    size: int = 1_000
    seed: int = 1
    noise: float = 0.01
    steepness: float = 1.6
    """How soon there is little left to learn: with more of it the first to join gets it all."""
    asked: int = field(default=0, compare=False)

    def __post_init__(self) -> None:
        rng = np.random.default_rng(self.seed)
        strength = np.linspace(2.2, -0.25, self.clients) / self.clients
        self._strength = strength * rng.uniform(0.9, 1.1, self.clients) * self.steepness
        self._hash = rng.integers(1, 1 << 62, self.clients, dtype=np.uint64) | np.uint64(1)

    def __call__(self, coalitions: Bools) -> Ints:
        """Count the right answers (m,), int64, of coalitions (m, n)."""
        self.asked += len(coalitions)
        members = np.asarray(coalitions, dtype=bool)
        learnt = 0.1 + 0.85 * (1 - np.exp(-np.maximum(members @ self._strength, 0)))
        mixed = (members * self._hash).sum(axis=1, dtype=np.uint64)
        mixed = (mixed ^ (mixed >> np.uint64(31))) * np.uint64(0x9E3779B97F4A7C15)
        noise = (mixed >> np.uint64(11)).astype(np.float64) / (1 << 53) - 0.5
        counts = np.rint(self.size * (learnt + self.noise * noise)).astype(np.int64)
        clipped: Ints = np.clip(counts, 0, self.size)
        return clipped

    def table(self) -> Ints:
        """The worth of all 2^n coalitions, by mask."""
        masks = np.arange(1 << self.clients)
        return self((masks[:, None] >> np.arange(self.clients)) & 1 == 1)

    def values(self) -> NDArray[np.float64]:
        """Exact Shapley values, as shares of the evaluation set."""
        from fedcoin.shapley import estimate

        found = estimate(lambda c: self(c) / self.size, self.clients, method="exact")
        return found.values
