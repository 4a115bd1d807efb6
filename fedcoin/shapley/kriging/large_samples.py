"""Shapley values from a large sample: a Gaussian process of a part of it, and what it missed.

A Gaussian process costs the cube of its number of coalitions. It is therefore fitted to a part of
the sample, drawn from every size, and predicts the rest. Its errors e(S) = u(S) - prediction on the
rest are those of a game whose values are to be added. That game is a linear mixed model with a few
unknowns for each player, in which interactions count as noise:

    e(S) = mu(s) + sum over i in S of h_i(s) + noise,    h_i(s) = sum over r of f_r(s) b_ri

    f_r(s)    R known functions of the size, (k, R), "features": the additive game (constant), and
              the leading eigenvectors of the covariance delta(s) delta(t) rho(s, t) of the part of
              degree 1 (`prior`), so that the b_ri have variance 1
    b_r       (n,) with sum 0
    c_r       how much f_r counts in a value: sum of f_r over all sizes, divided by n - 1
    h         the rest of the sample, h_s coalitions of size s; t_s the coalitions of the first part

The values are the expected sum over r of c_r b_ri given the sample (best linear unbiased
prediction; Henderson, "Best linear unbiased estimation and prediction under a selection model",
Biometrics 31, 1975), plus what the residuals of the evaluated coalitions contribute, plus a part of
the correction (`combination`): the residuals of a size, each multiplied by the number of coalitions
of that size, and of sizes that were not sampled, that it represents. Residuals are divided by one
minus their mean leverage, as if each had been left out of the fit.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from fedcoin.shapley.array_types import Bools, Floats, Ints
from fedcoin.shapley.kriging.combination import Slope, combine, find_direction
from fedcoin.shapley.kriging.johnson_polynomials import log_factorials
from fedcoin.shapley.kriging.mixture import fit_mixture
from fedcoin.shapley.kriging.prior import (
    Hyperparameters,
    choose_max_degree,
    compute_size_weights,
    compute_value_covariances,
    squared_size_distances,
)
from fedcoin.shapley.kriging.reml import fit_hyperparameters
from fedcoin.shapley.std_errors import student_factor

# Limits of time and memory, set by hand.
_PROCESS_ROWS = 1_200
"""The number of coalitions that the Gaussian process is fitted to."""
_FIT_ROWS = 400
"""The number of randomly drawn coalitions that the mixed model's hyperparameters are fitted to."""
_MAX_UNKNOWNS = 1_200
"""The approximate limit on the number of unknowns, n R; there are at least 2 n."""
_NOISE_ROUNDS = 2
"""How often the unknowns and then the noise variances are recomputed."""
_NOISE_PRIOR_ROWS = 5
"""The weight of the assumed noise variance of a size, in observed coalitions."""
_MAX_LEVERAGE = 0.9


def estimate_large_sample(
    coalitions: Bools, worth: Floats, rng: np.random.Generator
) -> tuple[Floats, Floats]:
    """Estimate Shapley values, less (u(N) - u(empty)) / n for everyone, from a large sample.

    Args:
        coalitions: bool (2 q, n): q different evaluated coalitions, none of them the complement of
            another, then their complements in the same order.
        worth: The utilities of these coalitions, float64 (2 q,).
        rng: Source of randomness, for the choice of the coalitions that the process is fitted to.

    Returns:
        The values, float64 (n,), which add up to 0, and their variances, float64 (n,).
    """
    n = coalitions.shape[1]
    num_pairs = len(coalitions) // 2
    fitted = _draw_by_size(coalitions[:num_pairs].sum(axis=1), _PROCESS_ROWS // 2, rng)
    rest = np.setdiff1d(np.arange(num_pairs), fitted)
    process_rows = np.concatenate([fitted, fitted + num_pairs])
    posterior = fit_mixture(coalitions[process_rows], worth[process_rows], rng)
    rows = np.concatenate([rest, rest + num_pairs])
    errors = worth[rows] - posterior.predict(coalitions[rows])
    known = np.bincount(coalitions[process_rows].sum(axis=1), minlength=n + 1)
    direction = find_direction(posterior.values)
    values, variances = _estimate_errors(coalitions[rows], errors, known, direction, rng)
    plain_values, plain_variances = _estimate_without_model(coalitions, worth)
    if plain_variances.sum() < variances.sum():
        return plain_values, plain_variances
    return posterior.values + values - values.mean(), variances


def _estimate_without_model(coalitions: Bools, worth: Floats) -> tuple[Floats, Floats]:
    """Estimate the values from the utilities alone, as the method `complementary` does."""
    n = coalitions.shape[1]
    groups = _group(coalitions, np.zeros(n + 1, np.int64))
    centred = _centre(worth, groups)
    no_leverages = np.zeros(len(groups.sizes))
    evaluated, rest, variances, _ = _correct(groups, centred, no_leverages, np.zeros(n))
    values = evaluated + rest
    return values - values.mean(), variances


def _draw_by_size(sizes: Ints, count: int, rng: np.random.Generator) -> Ints:
    """Draw about `count` pairs, in proportion to the pairs of each size and at least one each."""
    shuffled = rng.permutation(len(sizes))
    ordered = shuffled[np.argsort(sizes[shuffled], kind="stable")]
    even = ordered[np.linspace(0, len(sizes) - 1, count).astype(np.int64)]
    firsts = ordered[np.unique(sizes[ordered], return_index=True)[1]]
    return np.union1d(even, firsts)


@dataclass(frozen=True, slots=True)
class _Sizes:
    """The rest of the sample, by size."""

    sizes: Ints
    """The k different sizes, ascending, (k,)."""
    rows: list[Ints]
    """The indices of each size's coalitions."""
    members: list[Bools]
    """The coalitions of each size, bool (h_s, n)."""
    seen: Floats
    """The part of all coalitions of a size that `members` has, (k,)."""
    unseen: Floats
    """The part of all coalitions of a size that was evaluated nowhere, (k,)."""


def _group(coalitions: Bools, known: Ints) -> _Sizes:
    n = coalitions.shape[1]
    count = coalitions.sum(axis=1)
    sizes = np.unique(count)
    rows = [np.flatnonzero(count == size) for size in sizes]
    members = [coalitions[each] for each in rows]
    logs = log_factorials(n)
    existing = np.exp(np.minimum(logs[n] - logs[sizes] - logs[n - sizes], 700))
    seen = np.array([len(each) for each in rows]) / existing
    unseen = np.maximum(1 - seen - known[sizes] / existing, 0)
    # Less than one coalition is rounding.
    unseen = np.where(unseen * existing < 0.5, 0.0, unseen)
    return _Sizes(sizes, rows, members, seen, unseen)


def _compute_squares(groups: _Sizes, n: int) -> list[Floats]:
    """Compute for each size the (n, n) sums of products of the centred memberships."""
    squares: dict[int, Floats] = {}
    for size, members in zip(groups.sizes.tolist(), groups.members, strict=True):
        if n - size in squares:  # The complements have the same centred products.
            squares[size] = squares[n - size]
            continue
        # Counts up to 2^24 are exact in float32, which multiplies twice as fast.
        matrix = members.astype(np.float32)
        counts = members.sum(axis=0)
        squares[size] = (matrix.T @ matrix) - np.multiply.outer(counts, counts) / len(members)
    return [squares[size] for size in groups.sizes.tolist()]


def _centre(values: Floats, groups: _Sizes) -> Floats:
    """Subtract from each number the mean over its size, (m,)."""
    centred = np.empty_like(values)
    for rows in groups.rows:
        centred[rows] = values[rows] - values[rows].mean()
    return centred


def _estimate_errors(
    coalitions: Bools, worth: Floats, known: Ints, direction: Floats, rng: np.random.Generator
) -> tuple[Floats, Floats]:
    """Estimate the values of the game of errors.

    `known` counts the fitted coalitions by size, and `direction` is that of the model's values.
    """
    n = coalitions.shape[1]
    scale = float(worth.std()) or 1.0
    groups = _group(coalitions, known)
    scaled = _centre(worth / scale, groups)
    squares = _compute_squares(groups, n)
    picked = rng.permutation(len(worth))[:_FIT_ROWS]
    theta = fit_hyperparameters(coalitions[picked], scaled[picked], choose_max_degree(n))
    features, value_weights, omitted_variance = _build_features(theta, groups.sizes, n)
    noise = theta.noise_variance(groups.sizes, n) + sum(
        theta.degree_variance(degree, groups.sizes, n) for degree in range(2, theta.max_degree + 1)
    )
    products = [
        scaled[rows] @ members - scaled[rows].sum() * members.mean(axis=0)
        for members, rows in zip(groups.members, groups.rows, strict=True)
    ]
    for _ in range(_NOISE_ROUNDS):
        precision, right_side = _build_equations(squares, products, features, noise)
        unknowns = np.linalg.solve(precision, right_side).reshape(features.shape[1], n)
        residuals = _compute_residuals(groups, scaled, features @ unknowns)
        assumed = noise
        noise = _update_noise(residuals, groups, assumed)
    inverse: Floats = np.asarray(np.linalg.inv(precision), np.float64)
    inverse = inverse.reshape(len(unknowns), n, len(unknowns), n)
    leverages = _compute_leverages(squares, groups.rows, inverse, features, assumed)
    values = value_weights @ unknowns
    model_variances = np.einsum("a,aibi,b->i", value_weights, inverse, value_weights)
    model_variances = np.maximum(model_variances - value_weights @ value_weights / n, 0)
    model_variances += omitted_variance + _unseen_noise_variance(noise, groups, n)
    evaluated, correction, correction_variances, slope = _correct(
        groups, residuals, leverages, direction
    )
    values, variances = combine(
        values + evaluated, model_variances, correction, correction_variances, slope
    )
    return values * scale, variances * scale**2


def _build_features(theta: Hyperparameters, sizes: Ints, n: int) -> tuple[Floats, Floats, float]:
    """Build f, (k, R), and c, (R,), and the variance of a value that the features omit.

    The first feature is the additive game, the others are the eigenvectors.
    """
    delta = theta.player_deviation(sizes, n)
    matrix = np.multiply.outer(delta, delta) * theta.size_correlation(sizes, sizes, n)
    eigenvalues, eigenvectors = np.linalg.eigh(matrix)
    kept = np.argsort(eigenvalues)[::-1][: max(1, _MAX_UNKNOWNS // n - 1)]
    kept = kept[eigenvalues[kept] > 1e-6 * eigenvalues.max()]
    basis = eigenvectors[:, kept] * np.sqrt(eigenvalues[kept])
    prior = compute_value_covariances(theta, sizes, n)
    smooth = prior.additive - theta.additive_variance()
    value_weights = eigenvectors[:, kept].T @ smooth / np.sqrt(eigenvalues[kept])
    all_sizes = np.arange(1, n)
    all_delta = theta.player_deviation(all_sizes, n)
    correlation = theta.size_correlation(all_sizes, all_sizes, n)
    variance = all_delta @ correlation @ all_delta / (n - 1) ** 2
    omitted_variance = max(float(variance - value_weights @ value_weights), 0.0)
    additive = np.sqrt(theta.additive_variance())
    features = np.column_stack([np.full(len(sizes), additive), basis])
    return features, np.append(additive, value_weights), omitted_variance


def _build_equations(
    squares: list[Floats], products: list[Floats], features: Floats, noise: Floats
) -> tuple[Floats, Floats]:
    """Build the mixed model equations: precision (R n, R n) and right side (R n,)."""
    num_features, n = features.shape[1], len(products[0])
    precision = np.zeros((num_features, n, num_features, n))
    right_side = np.zeros((num_features, n))
    for a in range(num_features):
        right_side[a] = (features[:, a] / noise) @ np.array(products)
        for b in range(a + 1):
            block = np.zeros((n, n))
            for square, weight in _join_equal(squares, features[:, a] * features[:, b] / noise):
                block += weight * square
            precision[a, :, b, :] = precision[b, :, a, :] = block
        precision[a, np.arange(n), a, np.arange(n)] += 1
    return precision.reshape(num_features * n, -1), right_side.reshape(-1)


def _join_equal(squares: list[Floats], weights: Floats) -> list[tuple[Floats, float]]:
    """Join the weights of sizes that share one matrix, which complements do."""
    joined = {id(square): (square, 0.0) for square in squares}
    for square, weight in zip(squares, weights.tolist(), strict=True):
        joined[id(square)] = (square, joined[id(square)][1] + weight)
    return list(joined.values())


def _compute_residuals(groups: _Sizes, scaled: Floats, coefficients: Floats) -> Floats:
    """Compute what the coefficients (k, n) of the sizes leave of the errors, centred by size."""
    residuals = np.empty_like(scaled)
    for rows, members, row in zip(groups.rows, groups.members, coefficients, strict=True):
        predicted = members @ row
        residuals[rows] = scaled[rows] - (predicted - predicted.mean())
    return residuals


def _update_noise(residuals: Floats, groups: _Sizes, assumed: Floats) -> Floats:
    """Estimate the noise variance of each size, (k,), shrunk to the assumed profile."""
    squares = np.array([float(residuals[rows] @ residuals[rows]) for rows in groups.rows])
    drawn = np.array([len(rows) for rows in groups.rows])
    level = max(float((squares / assumed).sum() / drawn.sum()), 1e-30)
    noise: Floats = (squares + _NOISE_PRIOR_ROWS * assumed * level) / (
        np.maximum(drawn - 1, 0) + _NOISE_PRIOR_ROWS
    )
    return noise


def _compute_leverages(
    squares: list[Floats], all_rows: list[Ints], inverse: Floats, features: Floats, noise: Floats
) -> Floats:
    """Compute the mean leverage of the coalitions of each size in the fit, (k,), below 1."""
    leverages = []
    for square, rows, row, variance in zip(squares, all_rows, features, noise, strict=True):
        covariance = np.einsum("a,aibj,b->ij", row, inverse, row, optimize=True)
        trace = float(np.vdot(covariance, square)) / variance
        leverages.append((trace + 1) / len(rows))
    return np.minimum(leverages, _MAX_LEVERAGE)


def _correct(
    groups: _Sizes, residuals: Floats, leverages: Floats, direction: Floats
) -> tuple[Floats, Floats, Floats, Slope]:
    """Compute the values of the evaluated residuals, the correction and its variances, (n,) each.

    Then the correction's variance in a direction (n,) whose elements add up to 0.

    A coalition S of size s counts in the value of player i by (1[i in S] - s / n) n / (s (n - s)),
    divided by the number of coalitions of that size.
    """
    n = len(direction)
    # The last of the variances is that in the direction.
    evaluated, correction, variances = np.zeros(n), np.zeros(n), np.zeros(n + 1)
    represented = _count_represented_sizes(groups.sizes, n)
    index_of = {size: index for index, size in enumerate(groups.sizes.tolist())}
    for index, size in enumerate(groups.sizes.tolist()):
        if size > n - size:
            continue
        rows, members, other = groups.rows[index], groups.members[index], index_of[n - size]
        count, factor = len(rows), n / (size * (n - size))
        # Rows of complements are in the same order, and their centred memberships are opposite.
        halves = (index,) if other == index else (index, other)
        gaps = residuals[groups.rows[index]].copy()
        if other != index:
            gaps -= residuals[groups.rows[other]]
        weighted = factor / count * gaps
        sums = weighted @ members - size / n * weighted.sum()
        others = represented[list(halves)].mean() - 1
        evaluated += groups.seen[index] * sums
        correction += (others + groups.unseen[index]) * sums / (1 - leverages[index])
        squares = weighted**2
        terms = squares @ members * (1 - 2 * size / n) + squares.sum() * (size / n) ** 2
        terms = np.append(terms, squares @ (members @ direction) ** 2)
        all_sums = np.append(sums, sums @ direction)
        freedom = max(count // 2 if other == index else count, 2) - 1
        spread = np.maximum(terms - all_sums**2 / count, 0) * (freedom + 1) / freedom
        spread *= student_factor(freedom) ** 2 / (1 - leverages[index]) ** 2
        variances += (groups.unseen[index] * (1 + 2 * others) + others**2) * spread
    return evaluated, correction, variances[:-1], Slope(direction, float(variances[-1]))


def _count_represented_sizes(sizes: Ints, n: int) -> Floats:
    """Count for each of the k sampled sizes the sizes that are nearest to it, itself included."""
    all_sizes = np.arange(1, n)
    nearest = squared_size_distances(all_sizes, sizes, n).argmin(axis=1)
    counts: Floats = np.bincount(nearest, minlength=len(sizes)).astype(np.float64)
    return counts


def _unseen_noise_variance(noise: Floats, groups: _Sizes, n: int) -> float:
    """Compute the variance of a value from the noise of coalitions that were not evaluated."""
    weight_in, weight_out = compute_size_weights(groups.sizes, n)
    return float((noise * (weight_in + weight_out) * groups.unseen).sum() / n)
