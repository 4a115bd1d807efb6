"""Shapley values from every coalition."""

from __future__ import annotations

import math

import numpy as np

from fedcoin.data.errors import RefusalError
from fedcoin.shapley.errors import ShapleyCode
from fedcoin.shapley.game import Game
from fedcoin.shapley.result import Estimate, need

MAX_EXACT_PLAYERS = 20
_BATCH_ROWS = 1 << 14


def exact(game: Game, budget: int, rng: np.random.Generator) -> Estimate:
    """Shapley's formula over all 2^n coalitions, for up to 20 players.

    Raises ``Refusal`` BAD_GAME for more players, BAD_BUDGET for fewer than 2^n - 2 evaluations.
    """
    n = game.players
    if n > MAX_EXACT_PLAYERS:
        raise RefusalError(
            ShapleyCode.BAD_GAME,
            f"method exact takes at most {MAX_EXACT_PLAYERS} players, not {n}: use auto",
            field="n",
            limit=str(MAX_EXACT_PLAYERS),
        )
    need(budget, (1 << n) - 2, "exact")
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
