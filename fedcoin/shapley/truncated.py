"""Guided truncated walks: each ends as soon as the players that are left can add little."""

from __future__ import annotations

import numpy as np

from fedcoin.shapley.array_types import Bools, Floats, Ints
from fedcoin.shapley.game import Game
from fedcoin.shapley.result import Estimate, require_budget
from fedcoin.shapley.std_errors import shrink_variances
from fedcoin.shapley.walks import SHRINKAGE_WALKS, has_budget_for_sample

_TRUNCATION = 0.005
"""A walk ends when |u(N) - u(S)| is at most this part of |u(N) - u(empty)|. Set by hand."""

_CYCLES = 8
"""One cycle of walks in this number is walked to the end. Set by hand."""


def estimate_truncated(game: Game, budget: int, rng: np.random.Generator) -> Estimate:
    """Estimate Shapley values from guided truncated walks.

    Source: Liu, Chen, Yu, Liu, Cui, "GTG-Shapley: efficient and accurate participant contribution
    evaluation in federated learning", ACM TIST 13(4), 2022: its truncation within a round, without
    its truncation between rounds and without its convergence criterion.

    Orders come in cycles in which every player goes first once. When a walk ends early, the next
    player gets what is left and the others nothing, so that the values still add up. That saves
    evaluations at the price of a bias. Every eighth cycle is therefore walked to its end, and the
    mean difference that this makes to its gains is added to the values of all.

    Args:
        game: The game whose coalitions are evaluated, of n players.
        budget: The limit on distinct coalitions to evaluate, at least n - 1.
        rng: Source of randomness.

    Returns:
        Estimates whose bias is corrected from the complete walks, as far as the budget has any.
        Standard errors take a player's contribution when it goes first as known. They count the
        part of an incomplete cycle that such walks have too much or too little, and the spread of
        what was cut off, or its size where too few complete walks tell.

    Raises:
        RefusalError: BAD_BUDGET when the budget is below n - 1.
    """
    n = game.players
    require_budget(budget, n - 1, "truncated")
    threshold = _TRUNCATION * abs(game.grand - game.empty)
    gains: Floats = np.zeros((0, n))
    cut: Bools = np.zeros((0, n), np.bool_)
    missed: Floats = np.zeros((0, n))
    while has_budget_for_sample(game, budget, n - 1, len(gains)):
        fits = max(1, (budget - game.evaluations) // max(n - 1, 1))
        cycle, first = divmod(len(gains), n)
        orders = _draw_orders(n, first, min(n - first, fits), rng)
        new_gains, new_cut = _walk(game, orders, threshold)
        gains, cut = np.concatenate([gains, new_gains]), np.concatenate([cut, new_cut])
        if cycle % _CYCLES == _CYCLES // 2:
            complete_gains, _ = _walk(game, orders, -1.0)
            missed = np.concatenate([missed, complete_gains - new_gains])
    if len(missed) < n or n == 1:
        # The standard deviation of a uniform distribution over (-threshold, threshold).
        bias, bias_errors = np.zeros(n), cut.mean(axis=0) * threshold / np.sqrt(3)
    else:
        bias = missed.mean(axis=0)
        spread = shrink_variances(missed.var(axis=0, ddof=1), len(missed), SHRINKAGE_WALKS * n)
        bias_errors = np.sqrt(spread / len(missed))
    errors = np.hypot(_std_errors(gains), bias_errors)
    return Estimate(gains.mean(axis=0) + bias, errors, game.evaluations, "truncated")


def _std_errors(gains: Floats) -> Floats:
    """Estimate (n,) standard errors of the mean of gains (m, n), but for the truncation's bias.

    Walk w begins with player w mod n.
    """
    count, n = gains.shape
    if n == 1 or count < 3:
        return np.full(n, np.inf if n > 1 else 0.0)
    is_first = np.arange(count)[:, None] % n == np.arange(n)
    share = is_first.mean(axis=0)
    others = count - is_first.sum(axis=0)
    first_gain = (gains * is_first).sum(axis=0) / np.maximum(count * share, 1)
    first_gain = np.where(share > 0, first_gain, first_gain.sum() / np.count_nonzero(share))
    mean = (gains * ~is_first).sum(axis=0) / others
    spread = (((gains - mean) * ~is_first) ** 2).sum(axis=0) / np.maximum(others - 1, 1)
    variances = (1 - share) ** 2 * shrink_variances(spread, count, SHRINKAGE_WALKS * n) / others
    errors: Floats = np.sqrt(variances + ((share - 1 / n) * (first_gain - mean)) ** 2)
    return errors


def _draw_orders(n: int, first: int, count: int, rng: np.random.Generator) -> Ints:
    """Draw (count, n) random orders that begin with the players `first`, `first` + 1, ..."""
    others = np.array([np.delete(np.arange(n), first + walk) for walk in range(count)])
    heads = np.arange(first, first + count)[:, None]
    return np.column_stack([heads, rng.permuted(others, axis=1)])


def _walk(game: Game, orders: Ints, threshold: float) -> tuple[Floats, Bools]:
    """Walk along orders (count, n) until what is left is at most `threshold`.

    Returns the players' gains (count, n), and which of these were cut off (count, n).
    """
    count, n = orders.shape
    gains, cut = np.zeros((count, n)), np.ones((count, n), np.bool_)
    coalitions = np.zeros((count, n), np.bool_)
    worth = np.full(count, game.empty)
    active = np.arange(count)
    for position in range(n):
        players = orders[active, position]
        coalitions[active, players] = True
        is_close = np.abs(game.grand - worth[active]) <= threshold
        after = np.full(len(active), game.grand)
        after[~is_close] = game.values(coalitions[active[~is_close]])
        gains[active, players] = after - worth[active]
        cut[active, players] = is_close
        worth[active] = after
        active = active[~is_close]
        if not len(active):
            break
    return gains, cut
