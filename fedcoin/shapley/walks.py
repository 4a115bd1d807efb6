"""Estimators that average the players' marginal contributions along orders of the players.

A walk over an order p evaluates its prefixes; player p[j] is credited with
u(p[0], ..., p[j]) - u(p[0], ..., p[j-1]). Its mean over all orders is the Shapley value. A walk
costs n - 1 evaluations, because the empty and the grand coalition are known.
"""

from __future__ import annotations

import numpy as np

from fedcoin.shapley.array_types import Floats, Ints
from fedcoin.shapley.game import Game
from fedcoin.shapley.result import Estimate, require_budget
from fedcoin.shapley.std_errors import shrink_variances, student_factor

_BATCH_ROWS = 1 << 14

SHRINKAGE_WALKS = 4
"""With this number times n walks, a player's own variance has the weight of the mean variance of
all players (see `shrink_variances`). Set by hand; `pytest tests/shapley/test_intervals.py -m slow`
measures the intervals that result."""

_SHRINKAGE_BASES = 10
"""As `SHRINKAGE_WALKS`, but in base orders, for `estimate_antithetic`. Set by hand."""

_ROTATION_VARIANCE_RATIO = 0.7
"""Variance of a mean over rotations of one order, divided by that over as many independent walks.
Averaged over trial games; neither the games nor the program that measured it are kept.
`pytest tests/shapley/test_intervals.py -m slow` measures the intervals that result."""


def estimate_permutation(game: Game, budget: int, rng: np.random.Generator) -> Estimate:
    """Estimate Shapley values from walks along random orders.

    Source: Castro, Gómez, Tejada, "Polynomial calculation of the Shapley value based on sampling",
    Computers & Operations Research 36, 2009; Algorithm 1 of the FedCoin paper.

    Args:
        game: The game whose coalitions are evaluated, of n players.
        budget: The limit on distinct coalitions to evaluate, at least n - 1 (one walk).
        rng: Source of randomness.

    Returns:
        Unbiased estimates; standard errors are from the spread between walks, infinite after one.

    Raises:
        RefusalError: BAD_BUDGET when the budget is below n - 1.
    """
    n = game.players
    require_budget(budget, n - 1, "permutation")
    moments = _RunningMoments(n)
    while has_budget_for_sample(game, budget, n - 1, moments.count):
        orders = _random_orders(rng, _batch_size(game, budget, n - 1), n)
        moments.add(_marginal_contributions(game, orders))
    errors = moments.std_errors(SHRINKAGE_WALKS * n)
    return Estimate(moments.mean, errors, game.evaluations, "permutation")


def estimate_antithetic(game: Game, budget: int, rng: np.random.Generator) -> Estimate:
    """Estimate Shapley values from pairs of an order and its reverse, in rotations.

    Each random base order is used in all n rotations, forwards and backwards. A player that joins
    early in one walk of a pair joins late in the other, and over the rotations each player joins
    once at each position; both reduce the variance. The latter needs all rotations, so that a
    budget left over after whole base orders is not spent. A budget for less than one base order
    buys rotations at even distances.

    Args:
        game: The game whose coalitions are evaluated, of n players.
        budget: The limit on distinct coalitions to evaluate, at least 2 (n - 1) (one pair).
        rng: Source of randomness.

    Returns:
        Unbiased estimates. Standard errors are from the spread between base orders; with a single
        one from that between its rotations, without what position and player explain when all
        rotations are there.

    Raises:
        RefusalError: BAD_BUDGET when the budget is below 2 (n - 1).
    """
    n = game.players
    pair_cost, base_cost = 2 * (n - 1), 2 * n * (n - 1)
    require_budget(budget, pair_cost, "antithetic")
    bases = _RunningMoments(n)
    while has_budget_for_sample(game, budget, base_cost if bases.count else pair_cost, bases.count):
        base = _random_orders(rng, 1, n)[0]
        rotations = min(n, (budget - game.evaluations) // max(pair_cost, 1)) if n > 1 else 1
        orders = np.stack([np.roll(base, -(k * n // rotations)) for k in range(rotations)])
        forwards = _marginal_contributions(game, orders)
        pairs = (forwards + _marginal_contributions(game, orders[:, ::-1])) / 2
        bases.add(pairs.mean(axis=0, keepdims=True))
    if bases.count > 1:
        errors = bases.std_errors(_SHRINKAGE_BASES)
    else:
        errors = _std_errors_of_rotations(pairs, orders)
    return Estimate(bases.mean, errors, game.evaluations, "antithetic")


def has_budget_for_sample(game: Game, budget: int, cost: int, samples: int) -> bool:
    """Tell whether to draw one more sample.

    A coalition that was evaluated before costs nothing, so that sampling a small game might never
    use its budget up. Therefore sampling also ends after `4 * budget / cost` samples.

    Args:
        game: The game, which counts its evaluations.
        budget: The limit on distinct coalitions to evaluate.
        cost: The largest number of new coalitions that one sample can need.
        samples: How many samples were drawn so far.

    Returns:
        True when the budget has room for one more sample.
    """
    return budget - game.evaluations >= cost and samples * cost <= 4 * budget


def _std_errors_of_rotations(pairs: Floats, orders: Ints) -> Floats:
    """Estimate (n,) standard errors of the mean over the rotations of one order.

    `pairs` (m, n) has the contributions of m rotations, by player; `orders` (m, n) the players by
    position. The model is contribution = player + position + error.
    """
    rotations, n = pairs.shape
    if rotations < 2:
        return np.full(n, np.inf)
    residuals = np.take_along_axis(pairs - pairs.mean(axis=0), orders, axis=1)
    freedom = (rotations - 1) * max(n - 1, 1)
    if rotations == n > 2:
        # In a Latin square each player is once at each position: their means are no error.
        residuals -= residuals.mean(axis=0)
        freedom = (n - 1) * (n - 2)
    variance = _ROTATION_VARIANCE_RATIO * float((residuals**2).sum()) / freedom
    return np.full(n, student_factor(freedom) * np.sqrt(variance / rotations))


class _RunningMoments:
    """Mean and variance of rows of numbers, updated in batches."""

    def __init__(self, width: int) -> None:
        self.count = 0
        self.mean = np.zeros(width)
        self._squares = np.zeros(width)

    def add(self, rows: Floats) -> None:
        """Add rows (m, width) by the pairwise update of Chan, Golub and LeVeque (1983).

        Unlike the difference of sums of squares it does not cancel catastrophically.
        """
        count, mean = len(rows), rows.mean(axis=0)
        delta = mean - self.mean
        both = self.count + count
        self._squares += ((rows - mean) ** 2).sum(axis=0) + delta**2 * self.count * count / both
        self.mean = self.mean + delta * count / both
        self.count = both

    def std_errors(self, prior_samples: float) -> Floats:
        """Estimate the standard errors of the mean, from shrunk variances."""
        if self.count < 2:
            return np.full(len(self.mean), np.inf)
        rows = self.count - 1
        variances = shrink_variances(self._squares / rows, self.count, prior_samples)
        freedom = rows * max(len(self.mean) - 1, 1)
        errors: Floats = student_factor(freedom) * np.sqrt(variances / self.count)
        return errors


def _marginal_contributions(game: Game, orders: Ints) -> Floats:
    """Compute what each player adds along each of m orders: (m, n), by player."""
    n = game.players
    step = max(1, _BATCH_ROWS // n)
    batches = []
    for start in range(0, len(orders), step):
        positions = np.argsort(orders[start : start + step], axis=1)
        prefixes = positions[:, None, :] <= np.arange(n)[None, :, None]
        worth = game.values(prefixes.reshape(-1, n)).reshape(positions.shape)
        marginals = np.diff(worth, axis=1, prepend=game.empty)
        batches.append(np.take_along_axis(marginals, positions, axis=1))
    return np.concatenate(batches)


def _random_orders(rng: np.random.Generator, count: int, players: int) -> Ints:
    return rng.permuted(np.tile(np.arange(players), (count, 1)), axis=1)


def _batch_size(game: Game, budget: int, cost: int) -> int:
    """Tell how many samples of at most `cost` new coalitions to draw at once."""
    fits = (budget - game.evaluations) // max(cost, 1)
    return max(1, min(fits, _BATCH_ROWS // game.players))
