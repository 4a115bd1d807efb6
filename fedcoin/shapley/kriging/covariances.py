"""The covariance matrix of evaluated coalitions under the prior, and its derivatives.

With the notation of `prior`, s = |S|, t = |T| and overlap x = |S and T|, the covariance of u(S) and
u(T), apart from the unrestricted function mu of the size, is

    V(S, T) = sum over d of C_d(s, t) J_d(s, t, x) + cov(h(S), h(T)) + 1[S = T] var e(S)
    C_d(s, t) = sd_d(s) sd_d(t) rho(s, t)  +  1[d = 1] alpha sqrt(s (n - s) / n) sqrt(t (n - t) / n)

The additive game is added to the part of degree 1, because its covariance less that of a function
of the size is alpha (x - s t / n), a multiple of J_1. But for h (`player_distances`), V
depends on sizes and overlap alone, so that it is looked up in tables of shape (k, k, n + 1).
"""

from __future__ import annotations

from functools import cached_property

import numpy as np

from fedcoin.shapley.array_types import Bools, Floats
from fedcoin.shapley.kriging.johnson_polynomials import compute_johnson_correlations
from fedcoin.shapley.kriging.prior import Hyperparameters, size_covariates, squared_size_distances


class CovarianceModel:
    """The prior's covariances between the utilities of given coalitions.

    The covariances depend on the prior's hyperparameters, which each method takes.

    Args:
        coalitions: bool (m, n): m coalitions of n players. Neither the empty coalition nor the one
            of all players may be among them.
        max_degree: D, the highest degree of interaction between players that the prior models.

    Attributes:
        n: Number of players.
        max_degree: D.
        sizes: The k different sizes of the coalitions, ascending, int64 (k,).
        size_of: For each coalition the index of its size in `sizes`, int64 (m,).
    """

    def __init__(self, coalitions: Bools, max_degree: int) -> None:
        self.n = coalitions.shape[1]
        self.max_degree = max_degree
        members = coalitions.astype(np.float64)
        count = members.sum(axis=1).astype(np.int64)
        self.sizes, self.size_of = np.unique(count, return_inverse=True)
        self._tables = compute_johnson_correlations(self.n, self.sizes, max_degree)
        self._exact_members = members
        self._members = members.astype(np.float32)
        overlap = np.rint(members @ members.T).astype(np.int64)
        rows = self.size_of[:, None] * len(self.sizes) + self.size_of[None, :]
        # Where each pair of coalitions is in a flattened table.
        self._lookup = rows * (self.n + 1) + overlap

    def matrix(self, theta: Hyperparameters) -> Floats:
        """Compute the covariance matrix.

        Args:
            theta: Hyperparameters of the prior.

        Returns:
            V, float64 (m, m), the noise's variance included.
        """
        matrix: Floats = self._tabulate(theta).reshape(-1)[self._lookup]
        part = theta.player_distances()
        if part is not None:
            matrix += part.covariances(self._exact_members, self._exact_members)
        noise = theta.noise_variance(self.sizes, self.n)
        matrix[np.diag_indices_from(matrix)] += noise[self.size_of]
        return matrix

    def cross(self, theta: Hyperparameters, others: Bools) -> Floats:
        """Compute the covariances of other coalitions with these.

        Args:
            theta: Hyperparameters of the prior.
            others: bool (l, n): other coalitions than the model's own, of sizes in `sizes`.

        Returns:
            float64 (l, m): the covariance of the utility of each other coalition with that of each
            of the model's m coalitions.
        """
        # Overlaps are exact in float32, which multiplies twice as fast.
        overlap = (others.astype(np.float32) @ self._members.T).astype(np.int64)
        rows = np.searchsorted(self.sizes, others.sum(axis=1))
        lookup = (rows[:, None] * len(self.sizes) + self.size_of[None, :]) * (self.n + 1) + overlap
        covariances: Floats = self._tabulate(theta).reshape(-1)[lookup]
        part = theta.player_distances()
        if part is not None:
            covariances += part.covariances(others.astype(np.float64), self._exact_members)
        return covariances

    def derivatives(
        self, theta: Hyperparameters, vector: Floats, projection: Floats
    ) -> tuple[Floats, Floats]:
        """Compute products of the covariance matrix' derivatives with a vector and a matrix.

        The derivatives depend on sizes and overlaps alone. Summing by size first avoids an (m, m)
        array for each of the p hyperparameters.

        Args:
            theta: Hyperparameters of the prior.
            vector: float64 (m,).
            projection: float64 (m, m), symmetric.

        Returns:
            Two arrays with a row or number for each hyperparameter theta_j: float64 (p, m), the
            product of dV / dtheta_j and `vector`; and float64 (p,), the trace of the product of
            dV / dtheta_j and `projection`.
        """
        of_size = (self.size_of[:, None] == np.arange(len(self.sizes))).astype(np.float64)
        products = np.array([(each * vector) @ of_size for each in self._correlations])
        traces = np.array(
            [of_size.T @ (each * projection) @ of_size for each in self._correlations]
        )
        smooth = self._smooth_derivatives(theta)
        noise = self._noise_derivatives(theta)[:, self.size_of]
        additive = self._additive_covariances(theta)
        times_vector = [
            np.einsum("pdit,dit->pi", smooth[:, :, self.size_of], products),
            noise * vector,
            (additive[self.size_of] * products[0]).sum(axis=1)[None],
        ]
        traced = [
            np.einsum("pdst,dst->p", smooth, traces),
            noise @ np.diag(projection),
            np.array([np.vdot(additive, traces[0])]),
        ]
        times, traces = np.concatenate(times_vector), np.concatenate(traced)
        part = theta.player_distances()
        if part is not None:
            # By a_e, b_e, which the noise has as well, log eta and the log lambda_i.
            log_in, log_out = size_covariates(self.sizes, self.n)
            slopes = np.array([log_in, log_out, np.ones_like(log_in)])[:, self.size_of]
            own = part.derivatives(self._exact_members, slopes, vector, projection)
            shared = slice(theta.max_degree + 6, theta.max_degree + 8)
            times[shared] += own[0][:2]
            traces[shared] += own[1][:2]
            times, traces = np.concatenate([times, own[0][2:]]), np.append(traces, own[1][2:])
        return times, traces

    def _tabulate(self, theta: Hyperparameters) -> Floats:
        """Compute the covariance of different coalitions by size, size and overlap, (k, k, n+1)."""
        by_sizes = self._smooth_covariances(theta)
        by_sizes[0] += self._additive_covariances(theta)
        table = np.zeros_like(self._tables[0])
        for part, correlations in zip(by_sizes, self._tables, strict=True):
            table += part[..., None] * correlations
        return table

    @cached_property
    def _correlations(self) -> list[Floats]:
        """J_d of all pairs of coalitions, (m, m) for each degree."""
        return [table.reshape(-1)[self._lookup] for table in self._tables]

    def _smooth_covariances(self, theta: Hyperparameters) -> Floats:
        """Compute sd_d(s) sd_d(t) rho(s, t), (D, k, k)."""
        degrees = range(1, theta.max_degree + 1)
        variances = [theta.degree_variance(degree, self.sizes, self.n) for degree in degrees]
        deviations = np.sqrt(variances)
        correlation = theta.size_correlation(self.sizes, self.sizes, self.n)
        smooth: Floats = deviations[:, :, None] * deviations[:, None, :] * correlation
        return smooth

    def _additive_covariances(self, theta: Hyperparameters) -> Floats:
        """Compute alpha sqrt(s (n - s) / n) sqrt(t (n - t) / n), (k, k); it is d / d log alpha."""
        norms = np.sqrt(self.sizes * (self.n - self.sizes) / self.n)
        additive: Floats = theta.additive_variance() * np.multiply.outer(norms, norms)
        return additive

    def _smooth_derivatives(self, theta: Hyperparameters) -> Floats:
        """Differentiate `_smooth_covariances` by l_1..l_D, a_0, a_1, b_0, b_1 and log ell.

        Shape (D + 5, D, k, k).
        """
        smooth = self._smooth_covariances(theta)
        degree = np.arange(1, len(smooth) + 1)[:, None, None]
        by_levels = np.eye(len(smooth))[:, :, None, None] * smooth
        log_in, log_out = (
            (covariate[:, None] + covariate[None, :]) / 2
            for covariate in size_covariates(self.sizes, self.n)
        )
        distances = squared_size_distances(self.sizes, self.sizes, self.n)
        by_length = distances / theta.length_scale() ** 2
        factors = (log_in, degree * log_in, log_out, degree * log_out, by_length)
        return np.concatenate([by_levels, [smooth * factor for factor in factors]])

    def _noise_derivatives(self, theta: Hyperparameters) -> Floats:
        """Differentiate the noise variance by l_e, a_e and b_e, (3, k)."""
        log_in, log_out = size_covariates(self.sizes, self.n)
        factors: Floats = np.array([np.ones_like(log_in), log_in, log_out])
        return factors * theta.noise_variance(self.sizes, self.n)
