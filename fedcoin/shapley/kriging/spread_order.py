"""In which order to draw the pairs of a coalition and its complement, far apart from each other.

Two coalitions that share most of their members tell nearly the same about a game. A sample whose
coalitions are spread evenly over all coalitions therefore gives smaller errors than one that is
drawn independently of itself. To spread them, no game needs to be known: the differences between a
coalition and its complement, o(S) = u(S) - u(N without S), are taken as a Gaussian random function
that treats all players and sizes alike, with the covariance of a Hamming kernel

    cov(o(S), o(T)) = 2 (exp(-lambda d) - exp(-lambda (n - d))),    lambda = 3 / n

where d is the number of players in one of S and T alone, plus an unknown mean for each size below
n / 2. The next pair of a size is the one that most lowers the sum of the posterior variances of
the Shapley values (sequential design; Sacks, Welch, Mitchell, Wynn, "Design and analysis of
computer experiments", Statistical Science 4, 1989).

The order does not depend on the game's utilities. Among equally good pairs the first of a random
order is taken, and the players are alike to the kernel. Hence every coalition of a size is drawn
with the same probability, as `correction` assumes.
"""

from __future__ import annotations

import numpy as np

from fedcoin.shapley.array_types import Bools, Floats, Ints
from fedcoin.shapley.kriging.player_distances import PlayerDistances

# Set by hand. `python -m scripts.benchmarks.bench_estimators --methods auto` measures their effect.
_DISTANCE = 3.0
"""lambda times n. With 1.5 to 5, errors on ten-player games differ by 3 %."""
_NOISE_VARIANCE = 2e-4
_MEAN_VARIANCE = 1.0
"""Variances of a difference's own part and of the mean difference of a size; o(S) has about 2."""
_SECOND_RATE = 3.0
"""How many pairs of size 2 come for each pair of a larger size, since they are completed first."""
_RELATIVE_TIE = 1e-9
"""Pairs whose gains differ by less than this part are equally good: the rest is rounding."""
_MAX_SPREAD = 300
"""The most pairs that are spread, because the time grows with the square of their number."""


class SpreadOrder:
    """The order in which the pairs of each size are drawn; it is computed as far as needed.

    Single players come first, and the other sizes in turn. The order of a size does not depend on
    how many pairs are asked for.

    Args:
        n: Number of players, at least 2.
        sizes: The different sizes of the smaller coalitions of the pairs, each from 1 to n / 2.
        pools: For each size, one coalition of each pair to order, bool (any number, n), in random
            order.
    """

    def __init__(self, n: int, sizes: list[int], pools: list[Bools]) -> None:
        self._n = n
        self._pools = pools
        self._rates = [_rate(size) for size in sizes]
        lengths = [len(pool) for pool in pools]
        ends = np.cumsum(lengths)
        self._blocks = [slice(end - many, end) for end, many in zip(ends, lengths, strict=True)]
        self._members: Floats = np.concatenate(pools).astype(np.float64)
        self._size_of: Ints = np.repeat(sizes, lengths)
        distances = np.arange(n + 1)
        near, far = np.exp(-_DISTANCE / n * distances), np.exp(-_DISTANCE / n * (n - distances))
        self._kernel: Floats = 2 * (near - far)
        has_mean = 2 * self._size_of != n
        self._variances = self._kernel[0] + _NOISE_VARIANCE + _MEAN_VARIANCE * has_mean
        self._value_covariances = self._start_value_covariances(sizes)
        self._factors = np.zeros((_MAX_SPREAD, len(self._members)))
        self._num_taken = 0
        self._taken: list[list[int]] = [[] for _ in sizes]
        self._is_taken = np.zeros(len(self._members), np.bool_)

    def draw(self, counts: list[int]) -> list[Bools]:
        """Draw the first pairs of each size.

        Args:
            counts: How many pairs of each size, at most as many as its pool has.

        Returns:
            For each size one coalition of each pair, bool (count, n).
        """
        while self._is_short(counts) and self._num_taken < _MAX_SPREAD:
            self._take_next()
        drawn = []
        for pool, block, taken, count in zip(
            self._pools, self._blocks, self._taken, counts, strict=True
        ):
            # What is not spread follows in the pool's random order.
            rows = [row - block.start for row in taken]
            rest = np.setdiff1d(np.arange(len(pool)), rows)
            drawn.append(pool[np.concatenate([rows, rest]).astype(np.int64)[:count]])
        return drawn

    def _is_short(self, counts: list[int]) -> bool:
        return any(len(taken) < count for taken, count in zip(self._taken, counts, strict=True))

    def _take_next(self) -> None:
        """Take the pair of the size whose turn it is that lowers the values' variances most."""
        turns = [
            (len(taken) + 1) / rate if len(taken) < len(pool) else np.inf
            for taken, pool, rate in zip(self._taken, self._pools, self._rates, strict=True)
        ]
        index = int(np.argmin(turns))
        block = self._blocks[index]
        gains = (self._value_covariances[block] ** 2).sum(axis=1) / self._variances[block]
        gains[self._is_taken[block]] = -1
        best = int(np.argmax(gains >= (1 - _RELATIVE_TIE) * gains.max()))
        row = int(block.start) + best
        self._condition_on(row, block)
        self._taken[index].append(row)
        self._is_taken[row] = True

    def _condition_on(self, row: int, block: slice) -> None:
        """Update the posterior by one more observed difference (a column of Cholesky's factor)."""
        members = self._members
        size = self._size_of[row]
        apart = self._size_of + size - 2 * np.rint(members @ members[row]).astype(np.int64)
        covariances = self._kernel[apart]
        if 2 * size != self._n:
            covariances[block] += _MEAN_VARIANCE
        covariances[row] += _NOISE_VARIANCE
        deviation = np.sqrt(self._variances[row])
        known = self._factors[: self._num_taken]
        factor = (covariances - known[:, row] @ known) / deviation
        self._value_covariances = self._value_covariances - np.multiply.outer(
            factor, self._value_covariances[row] / deviation
        )
        # Rounding must not make a variance 0 or negative.
        self._variances = np.maximum(self._variances - factor**2, _NOISE_VARIANCE / 2)
        self._factors[self._num_taken] = factor
        self._num_taken += 1

    def _start_value_covariances(self, sizes: list[int]) -> Floats:
        """Compute the prior's cov(o(S), phi_i less the mean value) of all pairs, (pairs, n)."""
        n = self._n
        deviations = np.concatenate([[0.0], np.ones(n - 1), [0.0]])
        part = PlayerDistances(deviations, np.full(n, _DISTANCE / n))
        examples = np.arange(n) < np.array(sizes)[:, None]
        covariances = part.value_covariances(examples) - part.value_covariances(~examples)
        # Only whether a player is a member matters: the first is one in each example.
        gaps = covariances[:, 0] - covariances[:, -1]
        factors = np.repeat(gaps, [block.stop - block.start for block in self._blocks])
        centred: Floats = self._members - (self._size_of / n)[:, None]
        return factors[:, None] * centred


def _rate(size: int) -> float:
    """Return how often a size has its turn; single players precede everything else."""
    if size == 1:
        return np.inf
    return _SECOND_RATE if size == 2 else 1.0
