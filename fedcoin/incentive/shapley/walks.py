"""Estimators that walk along orders of the players and average what each one adds."""

from __future__ import annotations

import numpy as np

from fedcoin.incentive.layouts import Ints
from fedcoin.incentive.shapley.games import Floats, Game
from fedcoin.incentive.shapley.result import Estimate, need

TRUNCATION = 0.005
"""``truncated`` ends a walk this near the grand coalition's worth, as a part of what there is to
share out."""

_BATCH_ROWS = 1 << 14
_LEAST_BASES = 10


def permutation(game: Game, budget: int, rng: np.random.Generator) -> Estimate:
    """Marginal contributions along random orders (Castro et al., 2009; paper, Algorithm 1).

    Raises ``Refusal`` BAD_BUDGET for fewer than n - 1 evaluations: one order's prefixes.
    """
    n = game.players
    need(budget, n - 1, "permutation")
    moments = _Moments(n)
    while _goes_on(game, budget, n - 1, moments.count):
        moments.add(_marginals(game, _random_orders(rng, _room(game, budget, n - 1), n)))
    return Estimate(moments.mean, moments.std_errors(), game.evaluations, "permutation")


def antithetic(game: Game, budget: int, rng: np.random.Generator) -> Estimate:
    """Pairs of an order and its reverse, each random order turned through all its rotations.

    What joins early in one walk joins late in the other, and the rotations put each player once at
    each place: both take variance away, the latter only when all n rotations are there, so that
    what the budget has left after whole ones is not spent. Standard errors are from the spread
    between random orders where there are ten or more; else from pairs as if these were
    independent, which is too wide. Raises ``Refusal`` BAD_BUDGET for fewer than 2 (n - 1)
    evaluations: one pair.
    """
    n = game.players
    pair, whole = 2 * (n - 1), 2 * n * (n - 1)
    need(budget, pair, "antithetic")
    pairs, bases = _Moments(n), _Moments(n)
    while _goes_on(game, budget, whole if pairs.count else pair, bases.count):
        base = _random_orders(rng, 1, n)[0]
        turns = min(n, (budget - game.evaluations) // max(pair, 1)) if n > 1 else 1
        orders = np.stack([np.roll(base, -turn) for turn in range(turns)])
        sampled = (_marginals(game, orders) + _marginals(game, orders[:, ::-1])) / 2
        pairs.add(sampled)
        bases.add(sampled.mean(axis=0, keepdims=True))
    errors = (pairs if bases.count < _LEAST_BASES else bases).std_errors()
    return Estimate(pairs.mean, errors, game.evaluations, "antithetic")


def truncated(game: Game, budget: int, rng: np.random.Generator) -> Estimate:
    """Guided truncated walks: GTG-Shapley (Liu et al., 2022) within one round.

    Orders come in cycles in which every player goes first once. A walk ends as soon as its
    coalition is worth the grand one up to ``TRUNCATION``; the next player gets what was left, the
    others nothing, so that the values still add up. That saves evaluations and costs a bias that
    the standard errors do not know. Raises ``Refusal`` BAD_BUDGET for fewer than n - 1
    evaluations.
    """
    n = game.players
    need(budget, n - 1, "truncated")
    close = TRUNCATION * abs(game.grand - game.empty)
    moments = _Moments(n)
    walks = 0
    while _goes_on(game, budget, n - 1, moments.count):
        fits = max(1, (budget - game.evaluations) // max(n - 1, 1))
        count = min(n - walks % n, fits)
        moments.add(_guided(game, walks % n, count, close, rng))
        walks += count
    return Estimate(moments.mean, moments.std_errors(), game.evaluations, "truncated")


def _guided(game: Game, first: int, count: int, close: float, rng: np.random.Generator) -> Floats:
    """Marginals (count, n) of walks that begin with the players from ``first`` on."""
    n = game.players
    others = np.array([np.delete(np.arange(n), first + walk) for walk in range(count)])
    heads = np.arange(first, first + count)[:, None]
    orders = np.column_stack([heads, rng.permuted(others, axis=1)])
    gains = np.zeros((count, n))
    coalitions = np.zeros((count, n), np.bool_)
    worth = np.full(count, game.empty)
    going = np.arange(count)
    for place in range(n):
        who = orders[going, place]
        coalitions[going, who] = True
        near = np.abs(game.grand - worth[going]) <= close
        after = np.full(len(going), game.grand)
        after[~near] = game.values(coalitions[going[~near]])
        gains[going, who] = after - worth[going]
        worth[going] = after
        going = going[~near]
        if not len(going):
            break
    return gains


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
        # So that 1.96 of them cover 95 %: the quantile of Student's law, to first order.
        widening = 1 + 1.21 / (self.count - 1)
        errors: Floats = widening * np.sqrt(self._squares / (self.count - 1) / self.count)
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
