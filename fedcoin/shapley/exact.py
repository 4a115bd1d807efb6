"""Shapley values from every coalition."""

from __future__ import annotations

import math

import numpy as np

from fedcoin.data.errors import RefusalError
from fedcoin.shapley.errors import ShapleyCode
from fedcoin.shapley.game import Game
from fedcoin.shapley.result import Estimate, require_budget

MAX_EXACT_PLAYERS = 20
"""The utility of all 2^n coalitions is kept in memory, each with an entry in the game's memo."""
_BATCH_ROWS = 1 << 14


def estimate_exact(game: Game, budget: int, rng: np.random.Generator) -> Estimate:
    """Compute the Shapley values by their definition, over all 2^n coalitions.

    Args:
        game: A game of at most 20 players.
        budget: The limit on distinct coalitions to evaluate, at least 2^n - 2.
        rng: Not used.

    Returns:
        The exact values, with standard errors of 0.

    Raises:
        RefusalError: BAD_GAME when there are more than 20 players, BAD_BUDGET when the budget is
            below 2^n - 2.
    """
    n = game.players
    if n > MAX_EXACT_PLAYERS:
        raise RefusalError(
            ShapleyCode.BAD_GAME,
            f"method exact takes at most {MAX_EXACT_PLAYERS} players, not {n}: use auto",
            field="n",
            limit=str(MAX_EXACT_PLAYERS),
        )
    require_budget(budget, (1 << n) - 2, "exact")
    masks = np.arange(1 << n)
    worth = np.concatenate(
        [
            game.values((masks[start : start + _BATCH_ROWS, None] >> np.arange(n)) & 1 == 1)
            for start in range(0, 1 << n, _BATCH_ROWS)
        ]
    )
    # Weights 1 / (n C(n-1, s)) of the 2^(n-1) coalitions of the other players, in order of mask.
    sizes = ((masks[: 1 << (n - 1), None] >> np.arange(n)) & 1).sum(axis=1)
    weights = np.array([1 / (n * math.comb(n - 1, s)) for s in range(n)])[sizes]
    values = np.empty(n)
    for k in range(n):
        # Split the masks by bit k; both halves keep the order of the other n - 1 bits.
        halves = worth.reshape(-1, 2, 1 << k)
        values[k] = weights @ (halves[:, 1] - halves[:, 0]).reshape(-1)
    return Estimate(values, np.zeros(n), game.evaluations, "exact")
