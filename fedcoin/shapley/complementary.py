"""Complementary contributions: what a coalition is worth more than all the others together."""

from __future__ import annotations

import numpy as np

from fedcoin.shapley.array_types import Bools, Floats
from fedcoin.shapley.game import Game
from fedcoin.shapley.result import Estimate, need
from fedcoin.shapley.strata import draw, pairs_in, spread


def complementary(game: Game, budget: int, rng: np.random.Generator) -> Estimate:
    """Stratified complementary contributions (Zhang et al., SIGMOD 2023, CC-Shapley).

    One pair, u(S) - u(N without S), tells something about every player. Pairs are drawn by size,
    as many of each as there are or the budget gives, without replacement. Raises ``Refusal``
    BAD_BUDGET for fewer than two pairs of each size.
    """
    n = game.players
    sizes = range(1, n // 2 + 1)
    room = [pairs_in(n, size) for size in sizes]
    need(budget, 2 * sum(min(2, pairs) for pairs in room), "complementary")
    counts = spread(min(budget // 2, sum(room)), room, [1.0] * len(room))
    values = np.full(n, (game.grand - game.empty) / n)
    variances = np.zeros(n)
    for size, pairs, count in zip(sizes, room, counts, strict=True):
        rows = draw(n, size, count, rng)
        both = game.values(np.concatenate([rows, ~rows]))
        terms = _terms(rows, both[:count] - both[count:], size, pairs)
        values += terms.mean(axis=0) / n
        if count < pairs:
            few = count - 1
            widening = (1 + 1.21 / few) ** 2
            variances += terms.var(axis=0) / few * (1 - count / pairs) * widening / n**2
    return Estimate(values, np.sqrt(variances), game.evaluations, "complementary")


def _terms(rows: Bools, gaps: Floats, size: int, pairs: int) -> Floats:
    """(m, n): their mean is the pairs' part of n times the values; ``rows`` of ``pairs``."""
    count, n = rows.shape
    scale = n * n / (size * (n - size))
    if 2 * size == n:
        # Either half of a pair may come first, so that the gaps' mean is zero; and a pair is one
        # coalition of this size, not two.
        halves: Floats = (scale / 2 * gaps)[:, None] * (rows - 0.5)
        return halves
    if count < pairs:
        # What centring by the sample's own mean takes away.
        scale *= count / (count - 1) * (1 - 1 / pairs)
    terms: Floats = (scale * (gaps - gaps.mean()))[:, None] * (rows - size / n)
    return terms
