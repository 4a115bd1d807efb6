"""Algorithms 1 and 2 as printed, iteration by iteration, for all miners at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

CHUNK = 64


class BroadcastStrategy(Protocol):
    """A miner that does not compute: what it broadcasts in answer to what it hears."""

    def says(self, vectors: Floats, times: Floats) -> tuple[Floats, float]:
        """S (n,) and time, from the honest miners' S (h, n) and times (h,)."""


@dataclass(frozen=True)
class RaceResult:
    """What ended the race. ``miner`` is an index; honest miners come first."""

    miner: int
    iterations: int
    winner: Floats
    mean: Floats


def marginals(table: Floats, rng: np.random.Generator, walks: int) -> Floats:
    """Marginal contributions (walks, n) along random orders; the empty coalition is worth 0.

    ``table`` (2^n,) is a coalition's worth by mask.
    """
    n = int(np.log2(len(table)))
    orders = rng.permuted(np.tile(np.arange(n), (walks, 1)), axis=1)
    worth = table[np.cumsum(1 << orders, axis=1)]
    steps = np.diff(worth, axis=1, prepend=0.0)
    found = np.empty_like(steps)
    np.put_along_axis(found, orders, steps, axis=1)
    return found


def variance(table: Floats, rng: np.random.Generator, walks: int = 20_000) -> float:
    """V: the variance of one order's marginals, added up over the clients."""
    return float(marginals(table, rng, walks).var(axis=0).sum())


def race(
    table: Floats,
    honest: int,
    difficulty: float,
    rng: np.random.Generator,
    liars: Sequence[BroadcastStrategy] = (),
    most: int = 20_000,
) -> RaceResult | None:
    """One block: all honest miners iterate in step, and all look in a random order each time.

    None when nobody is within D of the mean after ``most`` iterations.
    """
    n = int(np.log2(len(table)))
    sums = np.zeros((honest, n))
    for start in range(0, most, CHUNK):
        steps = marginals(table, rng, CHUNK * honest).reshape(CHUNK, honest, n)
        running = sums + np.cumsum(steps, axis=0)
        for tick in range(CHUNK):
            time = start + tick + 1
            vectors: Floats = running[tick] / time
            times: Floats = np.full(honest, float(time))
            for liar in liars:
                vector, count = liar.says(vectors[:honest], times[:honest])
                vectors, times = np.vstack([vectors, vector]), np.append(times, count)
            block = look(vectors, times, difficulty, rng, honest, time)
            if block is not None:
                return block
        sums = running[-1]
    return None


def look(
    vectors: Floats,
    times: Floats,
    difficulty: float,
    rng: np.random.Generator,
    honest: int,
    iterations: int,
) -> RaceResult | None:
    """Whoever is within D of S-bar makes the block; the honest miners verify it."""
    mean = times @ vectors / times.sum()
    near = np.linalg.norm(vectors - mean, axis=1) <= difficulty
    for miner in rng.permutation(len(vectors)):
        if near[miner] and valid(vectors[miner], mean, mean, difficulty):
            return RaceResult(int(miner), iterations, vectors[miner], mean)
    return None


def valid(winner: Floats, mean: Floats, own_mean: Floats, difficulty: float) -> bool:
    """Algorithm 2: two distances. Nothing is recomputed."""
    return bool(
        np.linalg.norm(winner - mean) <= difficulty
        and np.linalg.norm(mean - own_mean) <= difficulty
    )


def payouts(mean: Floats, training_price: float) -> Floats:
    """Algorithm 3: what the winner is asked to pass on to each client."""
    positive = np.maximum(mean, 0)
    shares: Floats = training_price * positive / positive.sum() if positive.any() else positive
    return shares
