"""The model of a game before it is seen, and its hyperparameters.

The game is a Gaussian random function of the coalition S of size s,

    u(S) = mu(s) + sum of a_i over i in S + sum of g_d(S) over d = 1..D + h(S) + e(S)

    mu(s)    any function of the size
    a_i      the additive game: independent over the players, with variance alpha
    g_d(S)   the part of degree d, cov(g_d(S), g_d(T)) = sd_d(s) sd_d(t) rho(s, t) J_d(s, t, x)
    h(S)     the part that tells the players apart (`player_distances`), among up to 32 players
    e(S)     noise, independent over the coalitions; a part of the game: the e(S) of an evaluated
             coalition is known, and it counts in the Shapley values

with variances and correlation (log is the natural logarithm)

    sd_d(s)^2 = exp(l_d + (a_0 + a_1 d) log(2 s / n) + (b_0 + b_1 d) log(2 (n - s) / n))
    var e(S)  = exp(l_e + a_e log(2 s / n) + b_e log(2 (n - s) / n)) + floor
    floor     = 1e-7 times the residual variance + 1e-11
    f(s)^2    = exp(log eta + a_e log(2 s / n) + b_e log(2 (n - s) / n))
    rho(s, t) = exp(-(log(s / (n - s)) - log(t / (n - t)))^2 / (2 ell^2))

The hyperparameters are theta = (l_1, ..., l_D, a_0, a_1, b_0, b_1, log ell, l_e, a_e, b_e,
log alpha), D + 9 numbers, followed by log eta and the log lambda_i of h, if it is modelled. They
have a normal prior (`prior_of_hyperparameters`).

The part of degree 1 is g_1(S) = sum over i in S of w_i(s) with sum over i of w_i(s) = 0, where

    cov(w_i(s), w_j(t)) = delta(s) delta(t) rho(s, t) (1[i = j] - 1 / n)
    delta(s) = sd_1(s) / sqrt(s (n - s) / n)

Then the Shapley value is (Zhang et al., see `fedcoin.shapley.complementary`)

    phi_i = (u(N) - u(empty)) / n + a_i - mean of a + 1 / (n - 1) sum over s = 1..n-1 of w_i(s)
            + sum over S with i of v_in(s) e(S) - sum over S without i of v_out(s) e(S)

    v_in(s) = (s - 1)! (n - s)! / n!        v_out(s) = s! (n - 1 - s)! / n!

Parts of degree 2 and above cancel out. All covariances of phi with u therefore have a closed form.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from fedcoin.shapley.array_types import Bools, Floats, Ints
from fedcoin.shapley.kriging.johnson_polynomials import log_factorials
from fedcoin.shapley.kriging.player_distances import PlayerDistances

# Means and standard deviations of the hyperparameters' prior, for utilities standardised to
# variance 1 and, in the levels l_d and l_e, relative to the residual variance. Set by hand; the
# prior is weak and keeps the fit to a small sample stable.
_LEVEL_MEANS = np.array([-1.0, -2.0, -3.5, -5.0])
_LEVEL_STD = 3.0
# a_0, a_1, b_0, b_1, log ell, l_e, a_e, b_e, log alpha.
_OTHER_MEANS = np.array([0.0, -0.5, 0.0, 0.5, 0.7, -6.0, 0.0, 0.0, 0.0])
_OTHER_STDS = np.array([1.0, 1.0, 1.0, 1.0, 1.0, 3.0, 1.0, 1.0, 4.0])
# Of h: log eta relative to the residual variance, and log lambda_i relative to 1 / n. The lambda_i
# have a common deviation besides their own.
_VARIANCE_MEAN, _VARIANCE_STD = -2.0, 3.0
_DISTANCE_MEAN = 0.7
_COMMON_DISTANCE_STD, _OWN_DISTANCE_STD = 0.5, 0.7
_MAX_LOG_DISTANCE = 4.0
_RELATIVE_NOISE_FLOOR = 1e-7
_NOISE_FLOOR = 1e-11
"""Parts of the residual variance, and of the variance of the standardised utilities, that keep the
covariance matrix invertible when the noise vanishes or single players explain everything."""


def choose_max_degree(n: int) -> int:
    """Choose up to which degree D interactions are modelled; the others count as noise.

    Args:
        n: Number of players.

    Returns:
        4 up to 20 players, otherwise 2: among many players no affordable sample tells apart
        interactions of more than two.
    """
    return 4 if n <= 20 else 2


@dataclass(frozen=True, slots=True)
class Hyperparameters:
    """The hyperparameters theta of the prior, which are fitted to a sample."""

    max_degree: int
    """D, the highest degree of interaction between players that the prior models."""
    vector: Floats
    """theta, float64 (D + 9,) or (D + 10 + n,), in the order of the module's docstring."""
    residual_variance: float
    """Variance of the utilities that neither sizes nor single players explain."""

    def degree_variance(self, degree: int, sizes: Ints, n: int) -> Floats:
        """Compute the variance of the part of one degree, without the additive game.

        Args:
            degree: d, 1 to D.
            sizes: k sizes from 1 to n - 1, (k,).
            n: Number of players.

        Returns:
            sd_d(s)^2 of each size, (k,).
        """
        a0, a1, b0, b1 = self.vector[self.max_degree : self.max_degree + 4]
        log_in, log_out = size_covariates(sizes, n)
        slope = (a0 + a1 * degree) * log_in + (b0 + b1 * degree) * log_out
        return _bounded_exp(self.vector[degree - 1] + slope)

    def player_deviation(self, sizes: Ints, n: int) -> Floats:
        """Compute how much the players differ in the part of degree 1.

        Args:
            sizes: k sizes from 1 to n - 1, (k,).
            n: Number of players.

        Returns:
            delta(s), the standard deviation of w_i(s) but for the factor sqrt(1 - 1 / n), (k,).
        """
        deviation: Floats = np.sqrt(self.degree_variance(1, sizes, n) / (sizes * (n - sizes) / n))
        return deviation

    def noise_variance(self, sizes: Ints, n: int) -> Floats:
        """Compute the variance of the noise of a coalition of each size.

        Args:
            sizes: k sizes from 1 to n - 1, (k,).
            n: Number of players.

        Returns:
            var e(S), (k,); at least 1e-7 times the residual variance plus 1e-11.
        """
        level, a, b = self.vector[self.max_degree + 5 : self.max_degree + 8]
        log_in, log_out = size_covariates(sizes, n)
        floor = _RELATIVE_NOISE_FLOOR * self.residual_variance + _NOISE_FLOOR
        return _bounded_exp(level + a * log_in + b * log_out) + floor

    def additive_variance(self) -> float:
        """Return the variance of what a player adds to every coalition that it joins.

        Returns:
            alpha, in the square of the standardised utility's unit.
        """
        return float(_bounded_exp(self.vector[self.max_degree + 8 : self.max_degree + 9])[0])

    def player_distances(self) -> PlayerDistances | None:
        """Return the part h that tells the players apart.

        Returns:
            The part, or None when it is not modelled.
        """
        own = self.vector[self.max_degree + 9 :]
        if not len(own):
            return None
        n = len(own) - 1
        a, b = self.vector[self.max_degree + 6 : self.max_degree + 8]
        log_in, log_out = size_covariates(np.arange(1, n), n)
        deviations = np.zeros(n + 1)
        deviations[1:-1] = np.sqrt(_bounded_exp(own[0] + a * log_in + b * log_out))
        return PlayerDistances(deviations, np.exp(np.clip(own[1:], -60, _MAX_LOG_DISTANCE)))

    def length_scale(self) -> float:
        """Return how far apart, in log(s / (n - s)), sizes still behave alike.

        Returns:
            ell, without a unit.
        """
        return float(np.exp(self.vector[self.max_degree + 4]))

    def size_correlation(self, sizes: Ints, others: Ints, n: int) -> Floats:
        """Compute the correlation of one degree's part between sizes.

        Args:
            sizes: k sizes from 1 to n - 1, (k,).
            others: l sizes, (l,).
            n: Number of players.

        Returns:
            rho(s, t), (k, l).
        """
        scaled = squared_size_distances(sizes, others, n) / (2 * self.length_scale() ** 2)
        correlation: Floats = np.exp(-scaled)
        return correlation


def prior_of_hyperparameters(
    max_degree: int, residual_variance: float, additive_variance: float, distant_players: int = 0
) -> tuple[Hyperparameters, Floats]:
    """Return the mean and the covariance matrix of the hyperparameters' normal prior.

    Args:
        max_degree: D.
        residual_variance: Variance of the utilities that neither sizes nor single players explain.
        additive_variance: Variance of the players' coefficients, a first guess of alpha.
        distant_players: n when the part h that tells players apart is modelled, otherwise 0.

    Returns:
        The mean, and the covariance matrix (p, p) of its vector, with p = D + 9 or D + 10 + n.
    """
    mean = np.concatenate([_LEVEL_MEANS[:max_degree], _OTHER_MEANS])
    mean[:max_degree] += np.log(residual_variance)
    mean[max_degree + 5] += np.log(residual_variance)
    mean[-1] = np.log(additive_variance)
    variances = np.append(np.full(max_degree, _LEVEL_STD), _OTHER_STDS) ** 2
    if distant_players:
        level = _VARIANCE_MEAN + np.log(residual_variance)
        distance = _DISTANCE_MEAN - np.log(distant_players)
        mean = np.concatenate([mean, [level], np.full(distant_players, distance)])
        own = np.full(distant_players, _OWN_DISTANCE_STD**2)
        variances = np.concatenate([variances, [_VARIANCE_STD**2], own])
    covariance = np.diag(variances)
    if distant_players:
        covariance[-distant_players:, -distant_players:] += _COMMON_DISTANCE_STD**2
    return Hyperparameters(max_degree, mean, residual_variance), covariance


@dataclass(frozen=True, slots=True)
class ValueCovariances:
    """Covariances of the values phi with the utilities u(S), for coalitions of k sizes.

    phi are the values minus (u(N) - u(empty)) / n. The covariance of phi_i with u(S) is

        additive (1[i in S] - s / n) + (noise_inside if i is in S, otherwise -noise_outside)
    """

    additive: Floats
    """(k,): from the additive game and the part of degree 1."""
    noise_inside: Floats
    """(k,): v_in(s) var e(S), covariance with the noise of a coalition that contains i."""
    noise_outside: Floats
    """(k,): v_out(s) var e(S), minus the covariance with that of one that does not contain i."""
    variance: float
    """cov(phi_i, phi_j) is this times (1[i = j] - 1 / n)."""


def compute_value_covariances(theta: Hyperparameters, sizes: Ints, n: int) -> ValueCovariances:
    """Compute the covariances of the Shapley values with the utilities of coalitions.

    Args:
        theta: Hyperparameters of the prior.
        sizes: k sizes from 1 to n - 1, (k,).
        n: Number of players, at least 2.

    Returns:
        The covariances, by size of the coalition.
    """
    all_sizes = np.arange(1, n)
    weight_in, weight_out = compute_size_weights(all_sizes, n)
    delta = theta.player_deviation(all_sizes, n)
    smooth = delta @ theta.size_correlation(all_sizes, all_sizes, n) * delta / (n - 1)
    noise = theta.noise_variance(all_sizes, n)
    # All C(n, s) coalitions of each size together; times 1 - 1 / n it is their part of var phi_i.
    noise_in_value = (noise * (weight_in + weight_out)).sum() / (n - 1)
    index = sizes - 1
    return ValueCovariances(
        smooth[index] + theta.additive_variance(),
        (weight_in * noise)[index],
        (weight_out * noise)[index],
        float(smooth.sum() / (n - 1) + theta.additive_variance() + noise_in_value),
    )


def compute_size_weights(sizes: Ints, n: int) -> tuple[Floats, Floats]:
    """Compute how much the utility of a coalition of each size counts in a value.

    Args:
        sizes: k sizes from 1 to n - 1, (k,).
        n: Number of players.

    Returns:
        v_in(s) for players in the coalition and v_out(s) for the others, (k,) each.
    """
    logs = log_factorials(n)
    inside = np.exp(logs[sizes - 1] + logs[n - sizes] - logs[n])
    outside = np.exp(logs[sizes] + logs[n - 1 - sizes] - logs[n])
    return inside, outside


def compute_value_weights(coalitions: Bools) -> Floats:
    """Compute how much the utility of each coalition counts in each player's value.

    Args:
        coalitions: bool (m, n), none of them empty or grand.

    Returns:
        (m, n): v_in(s) for members, -v_out(s) for others, so that phi is the sum over all
        coalitions of these weights times u(S).
    """
    n = coalitions.shape[1]
    inside, outside = compute_size_weights(coalitions.sum(axis=1), n)
    return np.where(coalitions, inside[:, None], -outside[:, None])


def size_covariates(sizes: Ints, n: int) -> tuple[Floats, Floats]:
    """Compute the covariates of each size; the logarithms of the variances are linear in them.

    Args:
        sizes: k sizes from 1 to n - 1, (k,).
        n: Number of players.

    Returns:
        log(2 s / n) and log(2 (n - s) / n), (k,) each.
    """
    return np.log(2 * sizes / n), np.log(2 * (n - sizes) / n)


def squared_size_distances(sizes: Ints, others: Ints, n: int) -> Floats:
    """Compute the squared distances between sizes on the scale log(s / (n - s)).

    Args:
        sizes: k sizes from 1 to n - 1, (k,).
        others: l sizes, (l,).
        n: Number of players.

    Returns:
        (log(s / (n - s)) - log(t / (n - t)))^2 for each size s of `sizes` and t of `others`,
        float64 (k, l).
    """
    x, y = (np.log(size / (n - size)) for size in (sizes, others))
    squared: Floats = np.subtract.outer(x, y) ** 2
    return squared


def _bounded_exp(values: Floats) -> Floats:
    """Compute exp, neither overflowing nor vanishing."""
    bounded: Floats = np.exp(np.clip(values, -60, 60))
    return bounded
