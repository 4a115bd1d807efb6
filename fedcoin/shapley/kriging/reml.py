"""Fit the hyperparameters of the prior to a sample: restricted maximum likelihood (REML).

Notation: V = V(theta) is the covariance matrix of the sample (`covariances`), (m, m); X the
indicators of the k sizes, (m, k), whose coefficients mu are unknown; y the utilities, (m,). With

    P = V^-1 - V^-1 X (X' V^-1 X)^-1 X' V^-1

which is computed as Q (Q' V Q)^-1 Q', with Q an orthonormal basis of the contrasts within the sizes
(Q' X = 0), because that loses no digits where V is nearly singular, the restricted log-likelihood
is, up to a constant (Patterson and Thompson, "Recovery of inter-block
information when block sizes are unequal", Biometrika 58, 1971),

    L(theta) = -1/2 (log det V + log det X' V^-1 X + y' P y)

to which the logarithm of the hyperparameters' normal prior is added. The maximum is found by
Newton's method with the average information matrix instead of the Hessian (Gilmour, Thompson,
Cullis, "Average information REML", Biometrics 51, 1995): with V_j = dV / dtheta_j,

    gradient_j = 1/2 (y' P V_j P y - trace(P V_j)),    AI_ij = 1/2 y' P V_i P V_j P y

and Levenberg's damping of the diagonal. The prior on the hyperparameters is weak; with it a few
hundred coalitions suffice.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from fedcoin.shapley.array_types import Bools, Floats
from fedcoin.shapley.kriging.covariances import CovarianceModel
from fedcoin.shapley.kriging.prior import Hyperparameters, prior_of_hyperparameters

# Limits of the search, set by hand.
_MAX_STEPS = 25
_MIN_GAIN = 0.01
"""The search ends when a step gains less log-likelihood."""
_MAX_DAMPINGS = 6
_MAX_STEP = 2.0
"""The most that a step changes any hyperparameter (most of them are logarithms)."""
_MIN_VARIANCE = 1e-12
_SMALL_TRIANGLE = 64


@dataclass(frozen=True, slots=True)
class DesignMatrices:
    """Regressors (fixed effects) for the utilities of m coalitions."""

    sizes: Floats
    """(m, k): 1 where the coalition has that one of k sizes, otherwise 0."""
    players: Floats
    """(m, n - 1): contrasts between the members, zero in the mean over all coalitions of a size."""
    contrasts: Floats
    """(n, n - 1), orthonormal columns that add up to 0: coefficients of `players`, multiplied from
    the left, give one number for each player."""


def build_design(coalitions: Bools) -> DesignMatrices:
    """Build the regressors for the utilities of coalitions.

    Args:
        coalitions: bool (m, n).

    Returns:
        The regressors: an indicator of each size that occurs, in ascending order, and contrasts
        between the players.
    """
    n = coalitions.shape[1]
    sizes = coalitions.sum(axis=1)
    of_size = sizes[:, None] == np.unique(sizes)[None, :]
    start = np.column_stack([np.ones(n), np.eye(n)[:, :-1]])
    contrasts = np.linalg.qr(start)[0][:, 1:]
    centred = coalitions - (sizes / n)[:, None]
    return DesignMatrices(of_size.astype(np.float64), centred @ contrasts, contrasts)


def _estimate_initial_variances(worth: Floats, design: DesignMatrices) -> tuple[float, float]:
    """Estimate the scale of the prior by least squares on sizes and players.

    Returns the variance that these leave unexplained, and the mean square of the players'
    coefficients; both at least 1e-12.
    """
    both = np.column_stack([design.sizes, design.players])
    coefficients, _, rank, _ = np.linalg.lstsq(both, worth, rcond=None)
    residuals = worth - both @ coefficients
    own = coefficients[design.sizes.shape[1] :]
    residual_variance = float(residuals @ residuals) / max(len(worth) - int(rank), 1)
    return max(residual_variance, _MIN_VARIANCE), max(float((own**2).mean()), _MIN_VARIANCE)


@dataclass(frozen=True, slots=True)
class RemlProjection:
    """The matrix P, and the determinants of the likelihood."""

    matrix: Floats
    """P, (m, m)."""
    log_determinants: float
    """log det V + log det X' V^-1 X."""


def project(covariance: Floats, sizes: Floats) -> RemlProjection:
    """Compute P and the determinants.

    Args:
        covariance: V, (m, m), positive definite.
        sizes: X, the indicators of k sizes, (m, k).

    Returns:
        P, (m, m), and log det V + log det X' V^-1 X.

    Raises:
        numpy.linalg.LinAlgError: V is not positive definite.
    """
    reflections = _reflect_sizes(sizes)
    # With H symmetric and orthogonal, the rows of H V H that are not a size's first have no X.
    rotated = _rotate(covariance, reflections)
    is_free = np.ones(len(sizes), np.bool_)
    is_free[sizes.argmax(axis=0)] = False
    kept = np.ix_(is_free, is_free)
    factor = np.linalg.cholesky(rotated[kept])
    inverse_factor = _invert_lower(factor)
    padded = np.zeros_like(rotated)
    padded[kept] = inverse_factor.T @ inverse_factor
    logs = 2 * np.log(np.diag(factor)).sum() + np.log(sizes.sum(axis=0)).sum()
    return RemlProjection(_rotate(padded, reflections), float(logs))


def _invert_lower(factor: Floats) -> Floats:
    """Invert a lower triangular matrix by halves, nearly all of it in products of matrices.

    The inverse of a positive definite matrix takes half as long this way as by `numpy.linalg.inv`,
    which knows of no triangle.
    """
    size = len(factor)
    if size <= _SMALL_TRIANGLE:
        return np.asarray(np.linalg.inv(factor), np.float64)
    half = size // 2
    upper, lower = _invert_lower(factor[:half, :half]), _invert_lower(factor[half:, half:])
    inverse = np.zeros_like(factor)
    inverse[:half, :half], inverse[half:, half:] = upper, lower
    inverse[half:, :half] = -lower @ (factor[half:, :half] @ upper)
    return inverse


def _reflect_sizes(sizes: Floats) -> Floats:
    """Build (m, k) columns w of Householder reflections H = 1 - 2 sum of w w'.

    For each size, H takes the vector of the size's indicators to a multiple of the unit vector of
    the first coalition of that size. A size with one coalition has the column 0.
    """
    counts = sizes.sum(axis=0)
    columns: Floats = sizes / np.sqrt(counts)
    columns[sizes.argmax(axis=0), np.arange(len(counts))] -= 1
    norms = np.sqrt((columns**2).sum(axis=0))
    scaled: Floats = columns / np.where(counts > 1, norms, 1)
    return scaled


def _rotate(matrix: Floats, reflections: Floats) -> Floats:
    """Compute H M H for a symmetric matrix (m, m) and the columns of H."""
    half = matrix - 2 * reflections @ (reflections.T @ matrix)
    rotated: Floats = half - 2 * (half @ reflections) @ reflections.T
    return rotated


def project_with_jitter(covariance: Floats, sizes: Floats) -> RemlProjection:
    """Compute P and the determinants of a covariance matrix that may be singular up to rounding.

    When V is not positive definite, noise is added to it: 1e-12 of its mean diagonal at first, then
    ten times as much until it is.

    Args:
        covariance: V, (m, m), finite.
        sizes: X, the indicators of k sizes, (m, k).

    Returns:
        P, (m, m), and log det V + log det X' V^-1 X.
    """
    jitter = 1e-12 * max(float(np.diag(covariance).mean()), _MIN_VARIANCE)
    while True:
        try:
            return project(covariance, sizes)
        except np.linalg.LinAlgError:
            covariance = covariance + jitter * np.eye(len(covariance))
            jitter *= 10


def fit_hyperparameters(
    coalitions: Bools, worth: Floats, max_degree: int, *, tells_players_apart: bool = False
) -> Hyperparameters:
    """Find the hyperparameters with the highest posterior density.

    Args:
        coalitions: bool (m, n), different, none of them empty or grand.
        worth: y, (m,), standardised.
        max_degree: D, the highest degree that is modelled.
        tells_players_apart: Whether the part h is modelled.

    Returns:
        The end of an ascent to a local maximum; the same for the same arguments.
    """
    fit = _Fit(coalitions, worth, max_degree, tells_players_apart=tells_players_apart)
    theta = fit.start
    likelihood, projection = fit.assess(theta, project_with_jitter)
    damping = 1.0
    for _ in range(_MAX_STEPS):
        gradient, information = fit.differentiate(theta, projection)
        for _ in range(_MAX_DAMPINGS):
            damped = information + damping * np.diag(np.diag(information))
            step = np.linalg.solve(damped, gradient)
            step *= min(1.0, _MAX_STEP / max(np.abs(step).max(), 1e-12))
            candidate = replace(theta, vector=theta.vector + step)
            try:
                new_likelihood, new_projection = fit.assess(candidate)
            except np.linalg.LinAlgError:
                new_likelihood = -np.inf
            if new_likelihood > likelihood:
                break
            damping *= 4
        else:
            break
        gain = new_likelihood - likelihood
        likelihood, projection, theta = new_likelihood, new_projection, candidate
        damping = max(damping / 5, 1e-3)
        if gain < _MIN_GAIN:
            break
    return theta


class _Fit:
    """The penalised likelihood of one sample, and its derivatives."""

    def __init__(
        self, coalitions: Bools, worth: Floats, max_degree: int, *, tells_players_apart: bool
    ) -> None:
        design = build_design(coalitions)
        variances = _estimate_initial_variances(worth, design)
        distant_players = coalitions.shape[1] if tells_players_apart else 0
        self.start, covariance = prior_of_hyperparameters(max_degree, *variances, distant_players)
        self._precision = np.linalg.inv(covariance)
        self._sizes = design.sizes
        self._worth = worth
        self._model = CovarianceModel(coalitions, max_degree)

    def assess(
        self,
        theta: Hyperparameters,
        compute: Callable[[Floats, Floats], RemlProjection] = project,
    ) -> tuple[float, RemlProjection]:
        """Compute L(theta) with the log of its prior; raises LinAlgError as `project` does."""
        projection = compute(self._model.matrix(theta), self._sizes)
        deviation = theta.vector - self.start.vector
        quadratic = self._worth @ projection.matrix @ self._worth
        quadratic += deviation @ self._precision @ deviation
        likelihood = -0.5 * (projection.log_determinants + quadratic)
        return float(likelihood), projection

    def differentiate(
        self, theta: Hyperparameters, projection: RemlProjection
    ) -> tuple[Floats, Floats]:
        """Compute the gradient (p,) and the average information (p, p), the prior included."""
        weights = projection.matrix @ self._worth
        rows, traces = self._model.derivatives(theta, weights, projection.matrix)
        gradient = 0.5 * (rows @ weights - traces)
        information = 0.5 * rows @ projection.matrix @ rows.T
        gradient -= self._precision @ (theta.vector - self.start.vector)
        information += self._precision
        return gradient, information
