"""The part of the prior that tells the players apart.

Two coalitions are the less alike the more players are in one of them alone, and some players
matter more than others: the part h(S) of the model has the covariance

    cov(h(S), h(T)) = f(s) f(t) product over i in one of S and T alone of r_i
    r_i = exp(-lambda_i)

It has interactions of every degree. A player with lambda_i near 0 changes nothing, as one who adds
nothing or whom the others make superfluous; one with a large lambda_i changes all. With equal
lambda_i and f it is the covariance of a Hamming kernel (Kondor and Lafferty, "Diffusion kernels on
graphs and other discrete structures", ICML 2002).

The covariance is a product over the players but for the sizes, so that sums over all 2^n coalitions
are coefficients of polynomials. With w(t) = t! (n - 1 - t)! / n!, f(0) = f(n) = 0, and phi_i less
(u(N) - u(empty)) / n, in which the empty and the grand coalition do not count,

    cov(phi_i, h(S)) = f(s) sum over t of w(t) (f(t + 1) k_i1 - f(t) k_i0) A_t
    A_t = coefficient of z^t in the product over j but i of (k_j0 + k_j1 z)

where k_j1 is 1 for j in S and r_j for others, and k_j0 is r_j for j in S and 1 for others. In the
same way var phi_i is a sum over sizes s, t with the coefficients of y^s z^t in the product over j
but i of 1 + y z + r_j (y + z).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from fedcoin.shapley.array_types import Bools, Floats
from fedcoin.shapley.kriging.johnson_polynomials import log_factorials


@dataclass(frozen=True, slots=True)
class PlayerDistances:
    """The part h of the model (see the module): its strength, and how each player moves it."""

    deviations: Floats
    """f(s), the standard deviation of h(S) for the sizes 0 to n; 0 for 0 and n, (n + 1,)."""
    distances: Floats
    """lambda_i of each player, positive, (n,)."""

    def covariances(self, members: Floats, others: Floats) -> Floats:
        """Compute the covariances of h between coalitions.

        Args:
            members: float64 (m, n), 1 for members of each coalition and 0 for others.
            others: float64 (l, n), the same of other coalitions.

        Returns:
            cov(h(S), h(T)) of each member of `members` with each of `others`, float64 (m, l).
        """
        scaled = members * self.distances
        apart = scaled.sum(axis=1)[:, None] + others @ self.distances - 2 * scaled @ others.T
        covariances: Floats = self._scale(members)[:, None] * np.exp(-apart) * self._scale(others)
        return covariances

    def derivatives(
        self, members: Floats, slopes: Floats, vector: Floats, projection: Floats
    ) -> tuple[Floats, Floats]:
        """Compute products of the derivatives of the covariances of h with a vector and a matrix.

        Args:
            members: float64 (m, n), 1 for members and 0 for others.
            slopes: float64 (q, m), the derivatives of 2 log f(s) by q hyperparameters.
            vector: One number for each coalition, by which the derivatives are multiplied, float64
                (m,).
            projection: A symmetric matrix, of whose products with the derivatives the traces are
                returned, float64 (m, m).

        Returns:
            float64 (q + n, m), products with `vector` of the derivatives by the q hyperparameters
            and the n log lambda_i; and float64 (q + n,), the traces of their products with
            `projection`.
        """
        covariances = self.covariances(members, members)
        times = covariances @ vector
        by_slopes = (slopes * times + (slopes * vector) @ covariances) / 2
        # The derivative by log lambda_i is -lambda_i times the covariance, where i is in one alone.
        with_player = covariances @ (members * vector[:, None])
        apart = members * times[:, None] + with_player - 2 * members * with_player
        weighted = covariances * projection
        both = np.einsum("mi,mi->i", members, weighted @ members)
        traces = 2 * (weighted.sum(axis=1) @ members - both)
        return (
            np.concatenate([by_slopes, -(apart * self.distances).T]),
            np.concatenate([slopes @ weighted.sum(axis=1), -traces * self.distances]),
        )

    def value_covariances(self, coalitions: Bools) -> Floats:
        """Compute the covariances of the values with h.

        Args:
            coalitions: The coalitions S, bool (m, n).

        Returns:
            cov(phi_i - (u(N) - u(empty)) / n, h(S)) for each coalition S and player i, float64 (m,
            n).
        """
        count, n = coalitions.shape
        with_player = np.where(coalitions, 1.0, self._ratios())
        without = np.where(coalitions, self._ratios(), 1.0)
        # A_t of each coalition and left-out player i, (m, n, n).
        products = np.zeros((count, n, n))
        products[:, :, 0] = 1
        for j in range(n):
            others = np.arange(n) != j
            before = products[:, others]
            after = before * without[:, j, None, None]
            after[:, :, 1:] += before[:, :, :-1] * with_player[:, j, None, None]
            products[:, others] = after
        joined, absent = self._weigh()
        own = with_player * (products @ joined) - without * (products @ absent)
        covariances: Floats = self._scale(coalitions)[:, None] * own
        return covariances

    def value_variances(self) -> Floats:
        """Compute the variances of the values.

        Returns:
            The variance of phi_i - (u(N) - u(empty)) / n for each player i, float64 (n,).
        """
        ratios = self._ratios()
        n = len(ratios)
        # The coefficients of y^s z^t for each left-out player i, (n, n, n).
        products = np.zeros((n, n, n))
        products[:, 0, 0] = 1
        for j, ratio in enumerate(ratios):
            others = np.arange(n) != j
            before = products[others]
            after = before.copy()
            after[:, 1:, 1:] += before[:, :-1, :-1]
            after[:, 1:, :] += ratio * before[:, :-1, :]
            after[:, :, 1:] += ratio * before[:, :, :-1]
            products[others] = after
        joined, absent = self._weigh()
        mixed = (products @ absent) @ joined
        same = (products @ joined) @ joined + (products @ absent) @ absent
        variances: Floats = same - 2 * ratios * mixed
        return variances

    def _ratios(self) -> Floats:
        """Compute r_i, (n,)."""
        ratios: Floats = np.exp(-self.distances)
        return ratios

    def _scale(self, members: Floats | Bools) -> Floats:
        """Look up f(s) of coalitions, (m,)."""
        scale: Floats = self.deviations[members.sum(axis=1).astype(np.int64)]
        return scale

    def _weigh(self) -> tuple[Floats, Floats]:
        """Compute w(t) f(t + 1) and w(t) f(t), (n,) each."""
        n = len(self.distances)
        logs = log_factorials(n)
        weights = np.exp(logs[:n] + logs[:n][::-1] - logs[n])
        return weights * self.deviations[1:], weights * self.deviations[:-1]
