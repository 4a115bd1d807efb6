"""Learning a prior's settings from a sample of a game: restricted maximum likelihood.

Newton's method with the average information (Gilmour, Thompson, Cullis, 1995), damped, with weak
normal priors on the settings, so that a few hundred coalitions suffice.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from fedcoin.incentive.layouts import Bools
from fedcoin.incentive.shapley.games import Floats
from fedcoin.incentive.shapley.prior import Covariances, Settings, expected

_STEPS = 25
_ENOUGH = 0.01
_TRIES = 6
_LONGEST_STEP = 2.0


@dataclass(frozen=True, slots=True)
class Trend:
    """What a game may hold at no cost: a function of the size, and an additive game."""

    columns: Floats
    """(m, k + n - 1): which of k sizes, then contrasts between players."""
    contrasts: Floats
    """(n, n - 1), orthonormal: from the coefficients of the additive game to players."""


def trend_of(coalitions: Bools) -> Trend:
    """The columns for given coalitions (m, n)."""
    n = coalitions.shape[1]
    sizes = coalitions.sum(axis=1)
    which = sizes[:, None] == np.unique(sizes)[None, :]
    start = np.column_stack([np.ones(n), np.eye(n)[:, :-1]])
    contrasts = np.linalg.qr(start)[0][:, 1:]
    centred = coalitions - (sizes / n)[:, None]
    return Trend(np.column_stack([which.astype(np.float64), centred @ contrasts]), contrasts)


@dataclass(frozen=True, slots=True)
class Inverse:
    """The inverse of a covariance matrix, and what is left of it beside the trend."""

    inverse: Floats
    """(m, m)."""
    projected: Floats
    """(m, m): the inverse on what the trend does not explain, else zero; times the worths, it is
    what predicts."""
    trend_variance: Floats
    """(p, p): of the trend's coefficients."""
    trend_map: Floats
    """(m, p): inverse times trend."""
    log_determinants: float


def invert(matrix: Floats, trend: Trend) -> Inverse:
    """Raises ``numpy.linalg.LinAlgError`` when the matrix is not positive definite."""
    factor = np.linalg.cholesky(matrix)
    root = np.linalg.inv(factor)
    inverse = root.T @ root
    trend_map = inverse @ trend.columns
    # Directions of the trend that the sample does not show are left out.
    values, vectors = np.linalg.eigh(trend.columns.T @ trend_map)
    shown = values > values.max() * 1e-11
    variance = (vectors[:, shown] / values[shown]) @ vectors[:, shown].T
    logs = 2 * np.log(np.diag(factor)).sum() + np.log(values[shown]).sum()
    projected = inverse - trend_map @ variance @ trend_map.T
    return Inverse(inverse, projected, variance, trend_map, float(logs))


def roughness(worth: Floats, trend: Trend) -> float:
    """The variance of worths (m,) that the trend leaves."""
    columns = trend.columns
    coefficients, _, rank, _ = np.linalg.lstsq(columns, worth, rcond=None)
    rest: Floats = worth - columns @ coefficients
    return max(float(rest @ rest) / max(len(worth) - int(rank), 1), 1e-12)


def learn(coalitions: Bools, worth: Floats, degrees: int, rough: float) -> Settings:
    """The settings under which these worths (m,) are likeliest, given their residual variance."""
    covariances = Covariances(coalitions, degrees, rough)
    trend = trend_of(coalitions)
    centre, widths = expected(degrees, rough)

    def assess(settings: Settings) -> tuple[float, Inverse]:
        found = invert(covariances.matrix(settings), trend)
        off = (settings.vector - centre) / widths
        fit = -0.5 * (found.log_determinants + worth @ found.projected @ worth + off @ off)
        return float(fit), found

    settings = Settings(degrees, centre)
    fit, found = assess(settings)
    damping = 1.0
    for _ in range(_STEPS):
        slope, information = _newton(covariances, settings, found, worth)
        slope -= (settings.vector - centre) / widths**2
        information += np.diag(1 / widths**2)
        for _ in range(_TRIES):
            damped = information + damping * np.diag(np.diag(information))
            step = np.linalg.solve(damped, slope)
            step *= min(1.0, _LONGEST_STEP / max(np.abs(step).max(), 1e-12))
            tried = Settings(degrees, settings.vector + step)
            try:
                better, inverse = assess(tried)
            except np.linalg.LinAlgError:
                better = -np.inf
            if better > fit:
                break
            damping *= 4
        else:
            break
        gain, fit, found, settings = better - fit, better, inverse, tried
        damping = max(damping / 5, 1e-3)
        if gain < _ENOUGH:
            break
    return settings


def _newton(
    covariances: Covariances, settings: Settings, found: Inverse, worth: Floats
) -> tuple[Floats, Floats]:
    """Slope and average information of the likelihood."""
    projected = found.projected
    weights = projected @ worth
    diagonal = np.diag(projected)
    moved: list[Floats] = []
    traces: list[float] = []
    for change in covariances.derivatives(settings):
        if change.ndim == 1:
            moved.append(change * weights)
            traces.append(float(change @ diagonal))
        else:
            moved.append(change @ weights)
            traces.append(float(np.vdot(projected, change)))
    rows = np.array(moved)
    return 0.5 * (rows @ weights - np.array(traces)), 0.5 * rows @ projected @ rows.T
