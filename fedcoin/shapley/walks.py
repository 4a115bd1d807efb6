"""Estimators that walk along orders of the players and average what each one adds."""

from __future__ import annotations

import numpy as np

from fedcoin.shapley.array_types import Floats, Ints
from fedcoin.shapley.game import Game
from fedcoin.shapley.result import Estimate, need

_BATCH_ROWS = 1 << 14
ENOUGH_WALKS = 4
"""So many times n walks tell as much of a player's own spread as is taken from everybody's."""

_ENOUGH_BASES = 10
_ROTATIONS_AGREE = 0.7
"""The variance of a mean of rotations of one order, beside that of as many independent walks:
measured on many games."""


def permutation(game: Game, budget: int, rng: np.random.Generator) -> Estimate:
    """Marginal contributions along random orders (Castro et al., 2009; paper, Algorithm 1).

    Raises ``Refusal`` BAD_BUDGET for fewer than n - 1 evaluations: one order's prefixes.
    """
    n = game.players
    need(budget, n - 1, "permutation")
    moments = _Moments(n)
    while goes_on(game, budget, n - 1, moments.count):
        moments.add(_marginals(game, _random_orders(rng, _room(game, budget, n - 1), n)))
    errors = moments.std_errors(ENOUGH_WALKS * n)
    return Estimate(moments.mean, errors, game.evaluations, "permutation")


def antithetic(game: Game, budget: int, rng: np.random.Generator) -> Estimate:
    """Pairs of an order and its reverse, each random order turned through all its rotations.

    What joins early in one walk joins late in the other, and the rotations put each player once at
    each place: both take variance away, the latter only when all n rotations are there, so that
    what the budget has left after whole ones is not spent; a budget for fewer buys rotations at
    even distances. Standard errors are from the spread between random orders; of a single one,
    from that between its rotations, less what place and player explain where all are there.
    Raises ``Refusal`` BAD_BUDGET for fewer than 2 (n - 1) evaluations: one pair.
    """
    n = game.players
    pair, whole = 2 * (n - 1), 2 * n * (n - 1)
    need(budget, pair, "antithetic")
    bases = _Moments(n)
    while goes_on(game, budget, whole if bases.count else pair, bases.count):
        base = _random_orders(rng, 1, n)[0]
        turns = min(n, (budget - game.evaluations) // max(pair, 1)) if n > 1 else 1
        orders = np.stack([np.roll(base, -(turn * n // turns)) for turn in range(turns)])
        sampled = (_marginals(game, orders) + _marginals(game, orders[:, ::-1])) / 2
        bases.add(sampled.mean(axis=0, keepdims=True))
    if bases.count > 1:
        errors = bases.std_errors(_ENOUGH_BASES)
    else:
        errors = _error_of_rotations(sampled, orders)
    return Estimate(bases.mean, errors, game.evaluations, "antithetic")


def _error_of_rotations(sampled: Floats, orders: Ints) -> Floats:
    """(n,) standard errors of the mean of one order's rotations (m, n), ``sampled`` by player."""
    turns, n = sampled.shape
    if turns < 2:
        return np.full(n, np.inf)
    residuals = np.take_along_axis(sampled - sampled.mean(axis=0), orders, axis=1)
    freedom = (turns - 1) * max(n - 1, 1)
    if turns == n > 2:
        # A Latin square: every player once at every place.
        residuals -= residuals.mean(axis=0)
        freedom = (n - 1) * (n - 2)
    spread = _ROTATIONS_AGREE * float((residuals**2).sum()) / freedom
    return np.full(n, (1 + 1.21 / freedom) * np.sqrt(spread / turns))


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

    def std_errors(self, enough: float) -> Floats:
        """Of the mean; of each player's own variance as much as ``steadied`` takes."""
        if self.count < 2:
            return np.full(len(self.mean), np.inf)
        free = self.count - 1
        variances = steadied(self._squares / free, self.count, enough)
        # So that 1.96 of them cover 95 %: the quantile of Student's law, to first order.
        freedom = free * max(len(self.mean) - 1, 1)
        errors: Floats = (1 + 1.21 / freedom) * np.sqrt(variances / self.count)
        return errors


def steadied(spread: Floats, count: int, enough: float) -> Floats:
    """Variances (n,) drawn to their mean: among few walks a player may never go first, where it
    adds most, and seem steady."""
    own = (count - 1) / (count - 1 + enough)
    variances: Floats = own * spread + (1 - own) * spread.mean()
    return variances


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


def goes_on(game: Game, budget: int, cost: int, samples: int) -> bool:
    """Whether one more sample of at most ``cost`` fresh coalitions is due.

    Small games repeat coalitions, which are free; without an end to that, a budget as large as the
    game would never be used up.
    """
    return budget - game.evaluations >= cost and samples * cost <= 4 * budget
