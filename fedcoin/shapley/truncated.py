"""Walks that end where little is left to share out."""

from __future__ import annotations

import numpy as np

from fedcoin.shapley.array_types import Bools, Floats
from fedcoin.shapley.game import Game
from fedcoin.shapley.result import Estimate, need
from fedcoin.shapley.walks import ENOUGH_WALKS, goes_on, steadied

TRUNCATION = 0.005
"""``truncated`` ends a walk this near the grand coalition's worth, as a part of what there is to
share out."""


def truncated(game: Game, budget: int, rng: np.random.Generator) -> Estimate:
    """Guided truncated walks: GTG-Shapley (Liu et al., 2022) within one round.

    Orders come in cycles in which every player goes first once. A walk ends as soon as its
    coalition is worth the grand one up to ``TRUNCATION``; the next player gets what was left, the
    others nothing, so that the values still add up. That saves evaluations and costs a bias.
    Standard errors take as known what a player adds when it goes first, and count as errors the
    share of such walks that an unfinished cycle gives it, and that what was cut off may be
    anything up to ``TRUNCATION``. Raises ``Refusal`` BAD_BUDGET for fewer than n - 1 evaluations.
    """
    n = game.players
    need(budget, n - 1, "truncated")
    close = TRUNCATION * abs(game.grand - game.empty)
    gains, cut = np.zeros((0, n)), np.zeros((0, n), np.bool_)
    while goes_on(game, budget, n - 1, len(gains)):
        fits = max(1, (budget - game.evaluations) // max(n - 1, 1))
        first = len(gains) % n
        more = _guided(game, first, min(n - first, fits), close, rng)
        gains, cut = np.concatenate([gains, more[0]]), np.concatenate([cut, more[1]])
    # As if what was cut off were spread evenly between -close and close.
    bias = cut.mean(axis=0) * close / np.sqrt(3)
    errors = np.hypot(_guided_errors(gains), bias)
    return Estimate(gains.mean(axis=0), errors, game.evaluations, "truncated")


def _guided_errors(gains: Floats) -> Floats:
    """Of the mean of marginals (m, n), walk w beginning with player w mod n, whatever was cut."""
    count, n = gains.shape
    if n == 1 or count < 3:
        return np.full(n, np.inf if n > 1 else 0.0)
    first = np.arange(count)[:, None] % n == np.arange(n)
    share = first.mean(axis=0)
    later = count - first.sum(axis=0)
    alone = (gains * first).sum(axis=0) / np.maximum(count * share, 1)
    alone = np.where(share > 0, alone, alone.sum() / np.count_nonzero(share))
    mean = (gains * ~first).sum(axis=0) / later
    spread = (((gains - mean) * ~first) ** 2).sum(axis=0) / np.maximum(later - 1, 1)
    variances = (1 - share) ** 2 * steadied(spread, count, ENOUGH_WALKS * n) / later
    errors: Floats = np.sqrt(variances + ((share - 1 / n) * (alone - mean)) ** 2)
    return errors


def _guided(
    game: Game, first: int, count: int, close: float, rng: np.random.Generator
) -> tuple[Floats, Bools]:
    """Marginals (count, n) of walks that begin with the players from ``first`` on, and which of
    them were cut off."""
    n = game.players
    others = np.array([np.delete(np.arange(n), first + walk) for walk in range(count)])
    heads = np.arange(first, first + count)[:, None]
    orders = np.column_stack([heads, rng.permuted(others, axis=1)])
    gains, cut = np.zeros((count, n)), np.ones((count, n), np.bool_)
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
        cut[going, who] = near
        worth[going] = after
        going = going[~near]
        if not len(going):
            break
    return gains, cut
