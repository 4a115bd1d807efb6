"""Shapley values from a large sample: kriging in which interactions count as noise.

Among many players no sample is large enough to fit interactions, and a Gaussian process of many
thousand coalitions costs too much. Here the game is a linear mixed model with a few unknowns for
each player:

    u(S) = mu(s) + sum over i in S of h_i(s) + e(S),    h_i(s) = sum over r of f_r(s) b_ri

    f_r(s)    R known functions of the size, (k, R), "features": the additive game (constant), and
              the leading eigenvectors of the covariance delta(s) delta(t) rho(s, t) of the part of
              degree 1 (`prior`), so that the b_ri have variance 1
    b_r       (n,) with sum 0, written as contrasts times (n - 1) unknowns
    e(S)      noise with a variance for each size, interactions included
    c_r       how much f_r counts in a value: sum of f_r over all sizes, divided by n - 1

The values are the expected sum over r of c_r b_ri given the sample (best linear unbiased
prediction; Henderson, "Best linear unbiased estimation and prediction under a selection model",
Biometrics 31, 1975), plus what the residuals of the evaluated coalitions contribute.
"""

from __future__ import annotations

import numpy as np

from fedcoin.shapley.array_types import Bools, Floats, Ints
from fedcoin.shapley.kriging.johnson_polynomials import log_factorials
from fedcoin.shapley.kriging.prior import (
    Hyperparameters,
    choose_max_degree,
    compute_size_weights,
    compute_value_covariances,
    compute_value_weights,
)
from fedcoin.shapley.kriging.reml import build_design, fit_hyperparameters

# Limits of time and memory, set by hand.
_FIT_ROWS = 400
"""The number of randomly drawn coalitions that the hyperparameters are fitted to."""
_MAX_UNKNOWNS = 1_200
"""The approximate limit on the number of unknowns, n R."""
_NOISE_ROUNDS = 2
"""How often the unknowns and then the noise variances are recomputed."""
_NOISE_PRIOR_ROWS = 5
"""The weight of the assumed noise variance of a size, in observed coalitions."""


def estimate_first_order(
    coalitions: Bools, worth: Floats, rng: np.random.Generator
) -> tuple[Floats, Floats]:
    """Estimate Shapley values, less (u(N) - u(empty)) / n for everyone, from a large sample.

    Args:
        coalitions: bool (m, n), different, none of them empty or grand.
        worth: The utilities of these coalitions, float64 (m,).
        rng: Source of randomness, for the choice of rows to fit hyperparameters to.

    Returns:
        The values, (n,), which add up to 0, and their variances, (n,).
    """
    n = coalitions.shape[1]
    scale = float(worth.std()) or 1.0
    count = coalitions.sum(axis=1)
    sizes, size_of = np.unique(count, return_inverse=True)
    scaled = _centre_by_size(worth / scale, size_of)
    rows = rng.permutation(len(worth))[:_FIT_ROWS]
    theta = fit_hyperparameters(coalitions[rows], scaled[rows], choose_max_degree(n))
    features, value_weights, omitted_variance = _build_features(theta, sizes, n)
    noise = theta.noise_variance(sizes, n) + sum(
        theta.degree_variance(degree, sizes, n) for degree in range(2, theta.max_degree + 1)
    )
    contrasts = build_design(coalitions[:1]).contrasts
    centred = _centre_by_size((coalitions - (count / n)[:, None]) @ contrasts, size_of)
    moments = [
        _cross_products(centred[size_of == index], scaled[size_of == index])
        for index in range(len(sizes))
    ]
    drawn = np.bincount(size_of)
    for _ in range(_NOISE_ROUNDS):
        unknowns, covariance = _solve(moments, features, noise)
        coefficients = features @ unknowns
        residuals = scaled - (centred * coefficients[size_of]).sum(axis=1)
        noise = _update_noise(residuals, size_of, drawn, noise)
    from_residuals = compute_value_weights(coalitions).T @ residuals
    values = contrasts @ (value_weights @ unknowns) + from_residuals
    spread = np.einsum("a,axby,b->xy", value_weights, covariance, value_weights)
    variances = np.einsum("ix,xy,iy->i", contrasts, spread, contrasts)
    variances += omitted_variance * (1 - 1 / n) + _unseen_noise_variance(noise, sizes, drawn, n)
    return (values - values.mean()) * scale, variances * scale**2


def _build_features(theta: Hyperparameters, sizes: Ints, n: int) -> tuple[Floats, Floats, float]:
    """Build f, (k, R), and c, (R,), and the variance of a value that the features omit.

    The first feature is the additive game, the others are the eigenvectors.
    """
    delta = theta.player_deviation(sizes, n)
    matrix = np.multiply.outer(delta, delta) * theta.size_correlation(sizes, sizes, n)
    eigenvalues, eigenvectors = np.linalg.eigh(matrix)
    kept = np.argsort(eigenvalues)[::-1][: max(2, _MAX_UNKNOWNS // n - 1)]
    kept = kept[eigenvalues[kept] > 1e-6 * eigenvalues.max()]
    basis = eigenvectors[:, kept] * np.sqrt(eigenvalues[kept])
    prior = compute_value_covariances(theta, sizes, n)
    smooth = prior.additive - theta.additive_variance()
    value_weights = eigenvectors[:, kept].T @ smooth / np.sqrt(eigenvalues[kept])
    all_sizes = np.arange(1, n)
    all_delta = theta.player_deviation(all_sizes, n)
    correlation = theta.size_correlation(all_sizes, all_sizes, n)
    # Of one contrast's part of the values; a player's is 1 - 1 / n times that.
    variance = all_delta @ correlation @ all_delta / (n - 1) ** 2
    omitted_variance = max(float(variance - value_weights @ value_weights), 0.0)
    additive = np.sqrt(theta.additive_variance())
    features = np.column_stack([np.full(len(sizes), additive), basis])
    return features, np.append(additive, value_weights), omitted_variance


def _cross_products(centred: Floats, worth: Floats) -> tuple[Floats, Floats]:
    return centred.T @ centred, centred.T @ worth


def _solve(
    moments: list[tuple[Floats, Floats]], features: Floats, noise: Floats
) -> tuple[Floats, Floats]:
    """Compute the expected unknowns (R, n - 1) and their covariance (R, n - 1, R, n - 1)."""
    num_features, width = features.shape[1], len(moments[0][1])
    precision = np.zeros((num_features, width, num_features, width))
    right_side = np.zeros((num_features, width))
    for (square, product), row, variance in zip(moments, features, noise, strict=True):
        for a in range(num_features):
            right_side[a] += row[a] / variance * product
            for b in range(a + 1):
                precision[a, :, b, :] += row[a] * row[b] / variance * square
    for a in range(num_features):
        for b in range(a):
            precision[b, :, a, :] = precision[a, :, b, :].T
    for a in range(num_features):
        precision[a, np.arange(width), a, np.arange(width)] += 1
    inverse = np.linalg.pinv(precision.reshape(num_features * width, -1), hermitian=True)
    mean = (inverse @ right_side.reshape(-1)).reshape(num_features, width)
    covariance = np.asarray(inverse, np.float64)
    return mean, covariance.reshape(num_features, width, num_features, width)


def _update_noise(residuals: Floats, size_of: Ints, drawn: Ints, assumed: Floats) -> Floats:
    """Estimate the noise variance of each size, (k,), shrunk to the assumed profile."""
    squares = np.bincount(size_of, residuals**2)
    level = float((squares / assumed).sum() / drawn.sum())
    noise: Floats = (squares + _NOISE_PRIOR_ROWS * assumed * level) / (
        np.maximum(drawn - 1, 0) + _NOISE_PRIOR_ROWS
    )
    return noise


def _unseen_noise_variance(noise: Floats, sizes: Ints, drawn: Ints, n: int) -> float:
    """Compute the variance of a value from the noise of coalitions that were not evaluated."""
    logs = log_factorials(n)
    existing = np.exp(logs[n] - logs[sizes] - logs[n - sizes])
    weight_in, weight_out = compute_size_weights(sizes, n)
    unseen = np.maximum(1 - drawn / existing, 0)
    return float((noise * (weight_in + weight_out) * unseen).sum() / n)


def _centre_by_size(values: Floats, size_of: Ints) -> Floats:
    """Subtract from each row of (m,) or (m, w) the mean of all rows of its size."""
    count = np.bincount(size_of)
    if values.ndim == 1:
        centred: Floats = values - (np.bincount(size_of, values) / count)[size_of]
        return centred
    sums = np.zeros((len(count), values.shape[1]))
    np.add.at(sums, size_of, values)
    rows: Floats = values - (sums / count[:, None])[size_of]
    return rows
