"""Learning a prior's settings from a sample of a game: restricted maximum likelihood.

Newton's method with the average information (Gilmour, Thompson, Cullis, 1995), damped, with weak
normal priors on the settings, so that a few hundred coalitions suffice.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from fedcoin.shapley.array_types import Bools, Floats
from fedcoin.shapley.kriging.covariances import Covariances
from fedcoin.shapley.kriging.prior import Settings, expected

_STEPS = 25
_ENOUGH = 0.01
_TRIES = 6
_LONGEST_STEP = 2.0
_LEAST = 1e-12


@dataclass(frozen=True, slots=True)
class Columns:
    """What the worth of each of m coalitions may be explained by."""

    sizes: Floats
    """(m, k): which of k sizes."""
    players: Floats
    """(m, n - 1): contrasts between those who belong."""
    contrasts: Floats
    """(n, n - 1), orthonormal: from the coefficients of ``players`` to players."""


def columns_of(coalitions: Bools) -> Columns:
    """For given coalitions (m, n)."""
    n = coalitions.shape[1]
    sizes = coalitions.sum(axis=1)
    which = sizes[:, None] == np.unique(sizes)[None, :]
    start = np.column_stack([np.ones(n), np.eye(n)[:, :-1]])
    contrasts = np.linalg.qr(start)[0][:, 1:]
    centred = coalitions - (sizes / n)[:, None]
    return Columns(which.astype(np.float64), centred @ contrasts, contrasts)


def at_a_glance(worth: Floats, columns: Columns) -> tuple[float, float]:
    """Variances: of what sizes and players leave of worths (m,), and of what a player adds."""
    both = np.column_stack([columns.sizes, columns.players])
    coefficients, _, rank, _ = np.linalg.lstsq(both, worth, rcond=None)
    rest = worth - both @ coefficients
    own = coefficients[columns.sizes.shape[1] :]
    rough = float(rest @ rest) / max(len(worth) - int(rank), 1)
    return max(rough, _LEAST), max(float((own**2).mean()), _LEAST)


@dataclass(frozen=True, slots=True)
class Inverse:
    """The inverse of a covariance matrix, less what the means of sizes explain."""

    projected: Floats
    """(m, m): times the worths, it is what predicts."""
    log_determinants: float


def invert(matrix: Floats, sizes: Floats) -> Inverse:
    """Raises ``numpy.linalg.LinAlgError`` when the matrix is not positive definite.

    ``sizes`` (m, k) says which of k sizes each row has.
    """
    diagonal = np.diag(np.linalg.cholesky(matrix))
    inverse = np.linalg.inv(matrix)
    towards = inverse @ sizes
    precision = sizes.T @ towards
    projected = inverse - towards @ np.linalg.solve(precision, towards.T)
    logs = 2 * np.log(diagonal).sum() + np.linalg.slogdet(precision)[1]
    return Inverse(projected, float(logs))


def learn(coalitions: Bools, worth: Floats, degrees: int) -> Settings:
    """The settings under which these worths (m,) are likeliest."""
    columns = columns_of(coalitions)
    rough, additive = at_a_glance(worth, columns)
    covariances = Covariances(coalitions, degrees)
    start, widths = expected(degrees, rough, additive)

    def assess(settings: Settings) -> tuple[float, Inverse]:
        found = invert(covariances.matrix(settings), columns.sizes)
        off = (settings.vector - start.vector) / widths
        fit = -0.5 * (found.log_determinants + worth @ found.projected @ worth + off @ off)
        return float(fit), found

    settings = start
    fit, found = assess(settings)
    damping = 1.0
    for _ in range(_STEPS):
        slope, information = _newton(covariances, settings, found, worth)
        slope -= (settings.vector - start.vector) / widths**2
        information += np.diag(1 / widths**2)
        for _ in range(_TRIES):
            damped = information + damping * np.diag(np.diag(information))
            step = np.linalg.solve(damped, slope)
            step *= min(1.0, _LONGEST_STEP / max(np.abs(step).max(), 1e-12))
            tried = replace(settings, vector=settings.vector + step)
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
    weights = found.projected @ worth
    rows, traces = covariances.moved(settings, weights, found.projected)
    return 0.5 * (rows @ weights - traces), 0.5 * rows @ found.projected @ rows.T
