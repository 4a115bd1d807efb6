"""Complementary contributions: how much more a coalition is worth than all other players together.

Notation, in addition to that of the package:

    g(S) = u(S) - u(N without S)       complementary contribution, "gap" in the code
    P_s                                number of pairs {S, N without S} with |S| = s
    c_s                                how many of these are drawn, without replacement

With z_i(S) = 1 if i is in S and 0 otherwise, and means over all S of one size,

    phi_i = (u(N) - u(empty)) / n
            + 1/n  sum over s < n/2 of  n^2 / (s (n - s))  mean of g(S) (z_i(S) - s/n)
            + 1/n  mean over |S| = n/2 of 2 g(S) (z_i(S) - 1/2)          (for even n)

(Zhang, Sun, Liu, Xiong, Pei, Ren, "Efficient sampling approaches to Shapley value approximation",
SIGMOD 2023, CC-Shapley, with the terms of sizes s and n - s joined). One pair tells something
about every player.
"""

from __future__ import annotations

import numpy as np

from fedcoin.shapley.array_types import Bools, Floats
from fedcoin.shapley.game import Game
from fedcoin.shapley.result import Estimate, require_budget
from fedcoin.shapley.std_errors import student_factor
from fedcoin.shapley.strata import allocate, draw_coalitions, num_pairs


def estimate_complementary(game: Game, budget: int, rng: np.random.Generator) -> Estimate:
    """Estimate Shapley values from complementary contributions, stratified by size.

    The budget is shared out evenly over the sizes, as far as they have pairs. Standard errors are
    from the spread within each size, with the correction for a finite population.

    Args:
        game: The game whose coalitions are evaluated, of n players.
        budget: The limit on distinct coalitions to evaluate: at least two pairs of each size, or
            all of them where a size has fewer.
        rng: Source of randomness.

    Returns:
        Unbiased estimates with their standard errors.

    Raises:
        RefusalError: BAD_BUDGET when the budget is smaller than that.
    """
    n = game.players
    sizes = range(1, n // 2 + 1)
    capacities = [num_pairs(n, size) for size in sizes]
    require_budget(budget, 2 * sum(min(2, pairs) for pairs in capacities), "complementary")
    counts = allocate(min(budget // 2, sum(capacities)), capacities, shares=[1.0] * len(capacities))
    values = np.full(n, (game.grand - game.empty) / n)
    variances = np.zeros(n)
    drawn = [
        draw_coalitions(n, size, count, rng) for size, count in zip(sizes, counts, strict=True)
    ]
    worths = game.pair_values(drawn)
    for size, pairs, coalitions, worth in zip(sizes, capacities, drawn, worths, strict=True):
        count = len(coalitions)
        terms = _terms(coalitions, worth[0] - worth[1], size, pairs)
        values += terms.mean(axis=0) / n
        if count < pairs:
            freedom = count - 1
            widening = student_factor(freedom) ** 2
            variances += terms.var(axis=0) / freedom * (1 - count / pairs) * widening / n**2
    return Estimate(values, np.sqrt(variances), game.evaluations, "complementary")


def _terms(coalitions: Bools, gaps: Floats, size: int, pairs: int) -> Floats:
    """Compute (c, n) terms whose mean estimates n times this size's part of the values."""
    count, n = coalitions.shape
    scale = n * n / (size * (n - size))
    if 2 * size == n:
        # Either half of a pair may come first, so that the gaps have mean 0 over all pairs; and
        # both halves have this size, so that a pair counts once.
        terms: Floats = (scale / 2 * gaps)[:, None] * (coalitions - 0.5)
        return terms
    if count < pairs:
        # Makes up for centring by the sample's mean instead of the mean over all pairs.
        scale *= count / (count - 1) * (1 - 1 / pairs)
    centred: Floats = (scale * (gaps - gaps.mean()))[:, None] * (coalitions - size / n)
    return centred
