"""The paper's mining race: algorithms 1 to 3 of arXiv:2002.11711, for all miners in step.

Notation: n clients; R miners; S_j (n,) is miner j's mean of marginal contributions after t_j
iterations; S-bar = sum_j t_j S_j / sum_j t_j.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

CHUNK_ITERATIONS = 64
"""How many iterations of all miners are computed at once."""


class BroadcastStrategy(Protocol):
    """A dishonest miner, which computes nothing and broadcasts in answer to what it receives."""

    def broadcast(self, vectors: Floats, times: Floats) -> tuple[Floats, float]:
        """Choose the vector and the number of iterations to broadcast.

        Args:
            vectors: The honest miners' S, float64 (h, n).
            times: The numbers of iterations of the honest miners, float64 (h,).

        Returns:
            S, float64 (n,), and a number of iterations.
        """
        ...


@dataclass(frozen=True)
class RaceResult:
    """The block that ended a race of the paper's protocol, and its miner."""

    # The index of the miner that made the block; honest miners come first.
    miner: int
    # How often every honest miner had iterated.
    iterations: int
    # The mean S-bar, float64 (n,).
    mean: Floats


def draw_marginals(table: Floats, rng: np.random.Generator, walks: int) -> Floats:
    """Draw marginal contributions along random orders of the clients.

    Args:
        table: The utility of each coalition, float64 (2^n,), by bit mask. The empty coalition
            counts as 0, as in the paper.
        rng: Draws the orders.
        walks: How many orders to draw.

    Returns:
        Marginal contributions, float64 (walks, n), by client.
    """
    n = int(np.log2(len(table)))
    orders = rng.permuted(np.tile(np.arange(n), (walks, 1)), axis=1)
    worth = table[np.cumsum(1 << orders, axis=1)]
    steps = np.diff(worth, axis=1, prepend=0.0)
    marginals: Floats = np.empty_like(steps)
    np.put_along_axis(marginals, orders, steps, axis=1)
    return marginals


def estimate_variance(table: Floats, rng: np.random.Generator, walks: int = 20_000) -> float:
    """Estimate V, the variance of one order's marginal contributions, summed over the clients.

    Args:
        table: The utility of each coalition, float64 (2^n,), by bit mask.
        rng: Draws the orders.
        walks: How many orders to draw.

    Returns:
        The variance, in squared units of `table`.
    """
    return float(draw_marginals(table, rng, walks).var(axis=0).sum())


def run_race(
    table: Floats,
    num_honest: int,
    difficulty: float,
    rng: np.random.Generator,
    dishonest: Sequence[BroadcastStrategy] = (),
    max_iterations: int = 20_000,
) -> RaceResult | None:
    """Race for one block until a miner's vector is within D of the mean (algorithm 1).

    Honest miners iterate in step. After each iteration all miners compare their vectors with S-bar,
    in a random order. The first one within D whose block passes algorithm 2 makes the block.

    Args:
        table: The utility of each coalition, float64 (2^n,), by bit mask.
        num_honest: How many miners compute honestly.
        difficulty: D, in units of `table`.
        rng: Draws orders of clients and of miners.
        dishonest: One strategy for each further miner, which computes nothing.
        max_iterations: After how many iterations of each honest miner the race ends without a
            block, rounded up to a multiple of `CHUNK_ITERATIONS`.

    Returns:
        The block and its miner; None when the race ends without a block.
    """
    n = int(np.log2(len(table)))
    sums = np.zeros((num_honest, n))
    for start in range(0, max_iterations, CHUNK_ITERATIONS):
        steps = draw_marginals(table, rng, CHUNK_ITERATIONS * num_honest)
        running = sums + np.cumsum(steps.reshape(CHUNK_ITERATIONS, num_honest, n), axis=0)
        for offset in range(CHUNK_ITERATIONS):
            iterations = start + offset + 1
            vectors: Floats = running[offset] / iterations
            times: Floats = np.full(num_honest, float(iterations))
            for strategy in dishonest:
                vector, time = strategy.broadcast(vectors[:num_honest], times[:num_honest])
                vectors, times = np.vstack([vectors, vector]), np.append(times, time)
            result = _find_block(vectors, times, difficulty, rng, iterations)
            if result is not None:
                return result
        sums = running[-1]
    return None


def compute_payouts(mean: Floats, training_price: float) -> Floats:
    """Divide the training price by positive Shapley values (algorithm 3).

    Args:
        mean: S-bar, float64 (n,).
        training_price: The paper's TrainPrice, in any unit.

    Returns:
        The payment to each client, float64 (n,); zeros if no value is positive.
    """
    positive = np.maximum(mean, 0)
    shares: Floats = training_price * positive / positive.sum() if positive.any() else positive
    return shares


def _find_block(
    vectors: Floats, times: Floats, difficulty: float, rng: np.random.Generator, iterations: int
) -> RaceResult | None:
    """Find a miner within D of S-bar whose block the honest miners verify."""
    mean = times @ vectors / times.sum()
    is_near = np.linalg.norm(vectors - mean, axis=1) <= difficulty
    for miner in rng.permutation(len(vectors)):
        if is_near[miner] and _is_valid(vectors[miner], mean, mean, difficulty):
            return RaceResult(int(miner), iterations, mean)
    return None


def _is_valid(winner: Floats, mean: Floats, own_mean: Floats, difficulty: float) -> bool:
    """Verify a block by two distances, without recomputing anything (algorithm 2)."""
    return bool(
        np.linalg.norm(winner - mean) <= difficulty
        and np.linalg.norm(mean - own_mean) <= difficulty
    )
