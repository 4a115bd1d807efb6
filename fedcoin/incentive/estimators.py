"""Estimators of Shapley values: each asks a ``Game`` for some coalitions and averages.

All draw from a seeded NumPy generator: these are estimates for whoever asks, not proofs, so that
they need not follow the chain's schedules.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from fedcoin.data.errors import Refusal
from fedcoin.incentive.errors import EvidenceCode
from fedcoin.incentive.games import Floats, Game
from fedcoin.incentive.layouts import Ints

MAX_EXACT_PLAYERS = 20
_BATCH_ROWS = 1 << 14
_LEAST_BASES = 10


@dataclass(frozen=True, slots=True)
class Estimate:
    """Estimated Shapley values."""

    values: Floats
    """(n,), in the utility's unit; they add up to u(all) - u(empty)."""
    std_errors: Floats
    """(n,), one standard error; 0 when exact, infinite when there was one sample only."""
    evaluations: int
    """Distinct coalitions evaluated, besides the empty and the grand one."""
    method: str
    """The estimator that was used."""


Estimator = Callable[[Game, int, np.random.Generator], Estimate]
"""Takes a game, a budget of distinct coalitions and a source of randomness."""


def exact(game: Game, budget: int, rng: np.random.Generator) -> Estimate:
    """Shapley's formula over all 2^n coalitions, for up to 20 players.

    Raises ``Refusal`` BAD_GAME for more players, BAD_BUDGET for fewer than 2^n - 2 evaluations.
    """
    n = game.players
    if n > MAX_EXACT_PLAYERS:
        raise Refusal(
            EvidenceCode.BAD_GAME,
            f"method exact takes at most {MAX_EXACT_PLAYERS} players, not {n}: use auto",
            field="n",
            limit=str(MAX_EXACT_PLAYERS),
        )
    _need(budget, (1 << n) - 2, "exact")
    masks = np.arange(1 << n)
    worth = np.concatenate(
        [
            game.values((masks[start : start + _BATCH_ROWS, None] >> np.arange(n)) & 1 == 1)
            for start in range(0, 1 << n, _BATCH_ROWS)
        ]
    )
    sizes = ((masks[: 1 << (n - 1), None] >> np.arange(n)) & 1).sum(axis=1)
    weights = np.array([1 / (n * math.comb(n - 1, s)) for s in range(n)])[sizes]
    values = np.empty(n)
    for k in range(n):
        # Splits the masks by bit k; both halves keep the order of the other n - 1 bits.
        halves = worth.reshape(-1, 2, 1 << k)
        values[k] = weights @ (halves[:, 1] - halves[:, 0]).reshape(-1)
    return Estimate(values, np.zeros(n), game.evaluations, "exact")


def permutation(game: Game, budget: int, rng: np.random.Generator) -> Estimate:
    """Marginal contributions along random orders (Castro et al., 2009; paper, Algorithm 1).

    Raises ``Refusal`` BAD_BUDGET for fewer than n - 1 evaluations: one order's prefixes.
    """
    n = game.players
    _need(budget, n - 1, "permutation")
    moments = _Moments(n)
    while _goes_on(game, budget, n - 1, moments.count):
        moments.add(_marginals(game, _random_orders(rng, _room(game, budget, n - 1), n)))
    return Estimate(moments.mean, moments.std_errors(), game.evaluations, "permutation")


def antithetic(game: Game, budget: int, rng: np.random.Generator) -> Estimate:
    """Pairs of an order and its reverse, each random order turned through all its rotations.

    What joins early in one walk joins late in the other, and the rotations put each player once at
    each place: both take variance away, the latter only when all n rotations are there, so that
    what the budget has left after whole ones is not spent. Standard errors are from the spread
    between random orders where there are ten or more, widened for their small number by Student's
    law; else from pairs as if these were independent, which is too wide. Raises ``Refusal``
    BAD_BUDGET for fewer than 2 (n - 1) evaluations: one pair.
    """
    n = game.players
    pair, whole = 2 * (n - 1), 2 * n * (n - 1)
    _need(budget, pair, "antithetic")
    pairs, bases = _Moments(n), _Moments(n)
    while _goes_on(game, budget, whole if pairs.count else pair, bases.count):
        base = _random_orders(rng, 1, n)[0]
        turns = min(n, (budget - game.evaluations) // pair)
        orders = np.stack([np.roll(base, -turn) for turn in range(turns)])
        sampled = (_marginals(game, orders) + _marginals(game, orders[:, ::-1])) / 2
        pairs.add(sampled)
        bases.add(sampled.mean(axis=0, keepdims=True))
    if bases.count < _LEAST_BASES:
        errors = pairs.std_errors()
    else:
        # So that 1.96 of them cover 95 %: the quantile of Student's law, to first order.
        errors = bases.std_errors() * (1 + 1.21 / (bases.count - 1))
    return Estimate(pairs.mean, errors, game.evaluations, "antithetic")


class _Moments:
    """Running mean and variance of rows."""

    def __init__(self, width: int) -> None:
        self.count = 0
        self.mean = np.zeros(width)
        self._squares = np.zeros(width)

    def add(self, rows: Floats) -> None:
        # Chan et al.'s pairwise update: no catastrophic cancellation.
        count, mean = len(rows), rows.mean(axis=0)
        delta = mean - self.mean
        both = self.count + count
        self._squares += ((rows - mean) ** 2).sum(axis=0) + delta**2 * self.count * count / both
        self.mean = self.mean + delta * count / both
        self.count = both

    def std_errors(self) -> Floats:
        if self.count < 2:
            return np.full(len(self.mean), np.inf)
        errors: Floats = np.sqrt(self._squares / (self.count - 1) / self.count)
        return errors


def _marginals(game: Game, orders: Ints) -> Floats:
    """What each player adds along each order: (m, n) orders to (m, n) by player."""
    n = game.players
    step = max(1, _BATCH_ROWS // n)
    batches = []
    for start in range(0, len(orders), step):
        places = np.argsort(orders[start : start + step], axis=1)
        prefixes = places[:, None, :] <= np.arange(n)[None, :, None]
        worth = game.values(prefixes.reshape(-1, n)).reshape(places.shape)
        steps = np.diff(worth, axis=1, prepend=game.empty)
        batches.append(np.take_along_axis(steps, places, axis=1))
    return np.concatenate(batches)


def _random_orders(rng: np.random.Generator, count: int, players: int) -> Ints:
    return rng.permuted(np.tile(np.arange(players), (count, 1)), axis=1)


def _room(game: Game, budget: int, cost: int) -> int:
    """How many samples of at most ``cost`` fresh coalitions still fit, in a batch of fair size."""
    fits = (budget - game.evaluations) // max(cost, 1)
    return max(1, min(fits, _BATCH_ROWS // game.players))


def _goes_on(game: Game, budget: int, cost: int, samples: int) -> bool:
    """Whether one more sample of at most ``cost`` fresh coalitions is due.

    Small games repeat coalitions, which are free; without an end to that, a budget as large as the
    game would never be used up.
    """
    return budget - game.evaluations >= cost and samples * cost <= 4 * budget


def _need(budget: int, least: int, method: str) -> None:
    if budget < least:
        raise Refusal(
            EvidenceCode.BAD_BUDGET,
            f"method {method} needs a budget of at least {least} evaluations, not {budget}",
            field="budget",
            limit=str(least),
        )
