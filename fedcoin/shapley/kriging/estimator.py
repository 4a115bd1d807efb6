"""The method `kriging`: evaluate a sample, fit the model, add part of the correction."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from fedcoin.shapley.array_types import Bools, Floats, Ints
from fedcoin.shapley.exact import MAX_EXACT_PLAYERS, estimate_exact
from fedcoin.shapley.game import Game
from fedcoin.shapley.kriging.combination import combine
from fedcoin.shapley.kriging.correction import estimate_correction
from fedcoin.shapley.kriging.large_samples import estimate_large_sample
from fedcoin.shapley.kriging.mixture import fit_mixture
from fedcoin.shapley.kriging.reml import build_design
from fedcoin.shapley.kriging.sampling_design import evaluate_sample, min_kriging_budget
from fedcoin.shapley.result import Estimate, require_budget

_MAX_ROWS = 1_600
"""The most coalitions that go into one Gaussian process, whose cost grows with their cube. Larger
samples go to `large_samples`. Set by hand."""

_MIN_RELATIVE_ERROR = 1e-4
"""The model's smallest standard error, in parts of the values' root mean square: the model assumes
that every coalition has some noise. Set by hand."""
_SPREAD_NARROWING = 0.15
"""By how much the standard errors are narrower where a sample of the players below has at least
15 % of all coalitions. The correction's variance is estimated as if coalitions were drawn
independently, and those that are far apart vary less. Chosen on the games of ten players that
`make bench-estimators` calls in view, where 95 % intervals then cover 96 to 98 % with 100, 200 and
400 evaluations (98 to 100 % before)."""
_SPREAD_SHARES = 0.05, 0.15
"""The shares of all coalitions between which standard errors become narrower."""
_SPREAD_PLAYERS = 10, 20
"""With fewer players intervals of seven players covered 88 % when they were narrower; with more,
coalitions are not drawn far apart."""
_SPREAD_MIN_ROWS = 10
"""The smallest sample, in coalitions for each player, whose standard errors are narrower."""
_RELATIVE_ROUNDING = 1e-9
"""Residuals below this part of the largest utility count as rounding errors."""


def estimate_kriging(game: Game, budget: int, rng: np.random.Generator) -> Estimate:
    """Estimate Shapley values by a Gaussian process over coalitions.

    `sampling_design` chooses the coalitions. If their utilities are explained, up to rounding, by
    the players' own contributions, contributions of pairs, and a function of the size, the values
    of that model are returned as exact. Otherwise the estimate is the posterior mean plus a quarter
    of the correction (`correction`) or more (`combination`). Of more than 1,600 coalitions a part
    is fitted, and the others tell what the fit missed (`large_samples`).

    Args:
        game: The game whose coalitions are evaluated, of n players.
        budget: The limit on distinct coalitions to evaluate, at least 2 n + 8, or all.
        rng: Source of randomness.

    Returns:
        The values, with standard errors from both the model and the correction.

    Raises:
        RefusalError: BAD_BUDGET when the budget is below 2 n + 8, or below 2^n - 2 where that is
            smaller.
    """
    n = game.players
    require_budget(budget, min_kriging_budget(n), "kriging")
    if n <= MAX_EXACT_PLAYERS and budget >= (1 << n) - 2:
        return replace(estimate_exact(game, budget, rng), method="kriging")
    coalitions, worth = evaluate_sample(game, budget, rng)
    largest = max(float(np.abs(worth).max()), abs(game.grand))
    rounding = _RELATIVE_ROUNDING * largest + game.rounding
    values = _fit_without_residual(coalitions, worth, rounding)
    variances: Floats
    if values is not None:
        variances = np.zeros(n)
    elif len(coalitions) > _MAX_ROWS:
        values, variances = estimate_large_sample(coalitions, worth, rng)
    else:
        posterior = fit_mixture(coalitions, worth, rng)
        correction = estimate_correction(posterior, coalitions, rng)
        values, variances = combine(posterior.values, posterior.variances, *correction)
        variances *= _narrow(len(coalitions), n) ** 2
        values_size = float(((values + game.grand / n) ** 2).mean())
        variances += _MIN_RELATIVE_ERROR**2 * values_size
    values = values - values.mean() + (game.grand - game.empty) / n
    return Estimate(values, np.sqrt(variances + rounding**2), game.evaluations, "kriging")


def _narrow(evaluated: int, n: int) -> float:
    """Compute the factor of standard errors of a sample that is far apart, at most 1."""
    if evaluated < _SPREAD_MIN_ROWS * n or not _SPREAD_PLAYERS[0] <= n <= _SPREAD_PLAYERS[1]:
        return 1.0
    least, most = _SPREAD_SHARES
    part = (evaluated / (1 << n) - least) / (most - least)
    return 1 - _SPREAD_NARROWING * min(max(part, 0.0), 1.0)


def _fit_without_residual(coalitions: Bools, worth: Floats, tolerance: float) -> Floats | None:
    """Fit (u(S) - u(N without S)) / 2 by a function of the size plus an additive game.

    In additive and symmetric games, and in games where only pairs of players interact, that leaves
    no residual, and the additive game is the values less (u(N) - u(empty)) / n. Returns these,
    (n,), or None when a residual is above `tolerance` or the sample too small to tell.
    """
    n = coalitions.shape[1]
    num_pairs = len(coalitions) // 2
    half_gaps = (worth[:num_pairs] - worth[num_pairs:]) / 2
    num_unknowns = len(np.unique(coalitions[:num_pairs].sum(axis=1))) + n - 1
    if num_pairs < num_unknowns + 2:
        return None
    # Among many players, a part of the sample shows at much less cost that nothing fits.
    for rows in (_spread_rows(num_pairs, 2 * num_unknowns), np.arange(num_pairs)):
        design = build_design(coalitions[rows])
        both = np.column_stack([design.sizes, design.players])
        coefficients, _, rank, _ = np.linalg.lstsq(both, half_gaps[rows], rcond=None)
        if np.abs(half_gaps[rows] - both @ coefficients).max() > tolerance:
            return None
    if rank < both.shape[1]:
        return None
    values: Floats = design.contrasts @ coefficients[design.sizes.shape[1] :]
    return values


def _spread_rows(num_rows: int, count: int) -> Ints:
    """Choose at most `count` rows at even distances, because rows are in the order of sizes."""
    return np.unique(np.linspace(0, num_rows - 1, min(count, num_rows)).astype(np.int64))
