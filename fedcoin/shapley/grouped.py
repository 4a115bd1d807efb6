"""Shapley values from fewer evaluations than one walk needs: players join in groups.

A random order of the n players is cut into b + 1 groups of about equal size. The b coalitions
between the groups are evaluated; the players of a group share equally what the group adds. The
values add up, but players of one group are not told apart, so that no standard error is known.
"""

from __future__ import annotations

import numpy as np

from fedcoin.shapley.game import Game
from fedcoin.shapley.result import Estimate, require_budget


def estimate_grouped(game: Game, budget: int, rng: np.random.Generator) -> Estimate:
    """Estimate Shapley values from one walk along which players join in groups.

    What a group adds is shared evenly among its players.

    Args:
        game: The game whose coalitions are evaluated, of n players.
        budget: The limit on distinct coalitions to evaluate, at least 1; at most n - 1 are.
        rng: Source of randomness.

    Returns:
        The values, whose sum is exact; their standard errors are infinite, because none is known.

    Raises:
        RefusalError: BAD_BUDGET when the budget is below 1.
    """
    n = game.players
    require_budget(budget, min(1, n - 1), "grouped")
    order = rng.permutation(n)
    groups = np.array_split(order, min(budget + 1, n))
    coalitions = np.zeros((len(groups) + 1, n), np.bool_)
    for number, group in enumerate(groups):
        coalitions[number + 1 :, group] = True
    gains = np.diff(game.values(coalitions))
    values = np.empty(n)
    for group, gain in zip(groups, gains.tolist(), strict=True):
        values[group] = gain / len(group)
    return Estimate(values, np.full(n, np.inf), game.evaluations, "grouped")
