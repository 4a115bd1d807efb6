"""An unbiased estimate of the model's error, from parts of the sample that it was not shown.

This is the difference estimator of sampling theory (Särndal, Swensson, Wretman, Model Assisted
Survey Sampling, 1992) with cross-fitting. The sample is dealt into 8 folds. For a fold F let u_F be
the model's prediction from all other folds. Then

    phi = phi(u_F) + sum over S not in the other folds of v(S) (u(S) - u_F(S))

where v(S) are the weights of a utility in the values (`compute_value_weights`). The sum is
estimated from the coalitions of F, each of which represents several that were not drawn. Kriging
gives phi(u_F) without a further fit: adding F to the sample changes the values by (P C)_F' times
the errors of predicting F, so that

    phi(u_F) + (estimated sum) = phi(all folds) + sum over S in F of
                                 (v(S) r(S) - weights(S)) (u(S) - u_F(S))

with r(S) the number of coalitions that S represents and `weights` those of the posterior. The mean
over the folds is unbiased whatever the game is, and its variance can be estimated from the sample
alone. Witter, Liu, Musco ("Regression-adjusted Monte Carlo estimators for Shapley values and
probabilistic values", 2025) use this estimator with other models.
"""

from __future__ import annotations

import math

import numpy as np

from fedcoin.shapley.array_types import Bools, Floats, Ints
from fedcoin.shapley.kriging.combination import Slope, find_direction
from fedcoin.shapley.kriging.mixture import Mixture
from fedcoin.shapley.kriging.prior import compute_value_weights
from fedcoin.shapley.std_errors import student_factor

_FOLDS = 8


def estimate_correction(
    posterior: Mixture, coalitions: Bools, rng: np.random.Generator
) -> tuple[Floats, Floats, Slope]:
    """Estimate the correction that makes the posterior's values unbiased.

    Args:
        posterior: The posterior given all coalitions.
        coalitions: bool (2 q, n): q different evaluated coalitions, none of them the complement of
            another, then their complements in the same order.
        rng: Source of randomness; it divides the pairs of complements into folds.

    Returns:
        Two arrays, float64 (n,) each: the correction, to be added to the values, which adds up to
        0; and the variances of the corrected values. Then the correction's variance along the
        posterior's values.
    """
    n = coalitions.shape[1]
    num_drawn_pairs = len(coalitions) // 2
    sizes = coalitions.sum(axis=1)
    drawn = np.bincount(sizes, minlength=n + 1)
    existing = [math.comb(n, size) for size in range(n + 1)]
    low_sizes = np.minimum(sizes[:num_drawn_pairs], n - sizes[:num_drawn_pairs])
    # Sizes that were evaluated completely have no error.
    is_partial = np.array([have < possible for have, possible in zip(drawn, existing, strict=True)])
    # Dealt by size, so that each fold has its part of every size.
    pairs = rng.permutation(np.flatnonzero(is_partial[sizes[:num_drawn_pairs]]))
    pairs = pairs[np.argsort(low_sizes[pairs], kind="stable")]
    value_weights = compute_value_weights(coalitions)
    errors = np.zeros(2 * num_drawn_pairs)
    total = np.zeros(n)
    for start in range(_FOLDS):
        fold = np.concatenate([pairs[start::_FOLDS], pairs[start::_FOLDS] + num_drawn_pairs])
        if not len(fold):
            continue
        errors[fold] = posterior.compute_prediction_errors(fold)
        represented = _represented(sizes[fold], drawn, existing)
        weights = value_weights[fold] * represented[:, None] - posterior.weights[fold]
        total += weights.T @ errors[fold] / _FOLDS
    direction = find_direction(posterior.values)
    weights = np.column_stack([value_weights, value_weights @ direction])
    variances = _variances(weights, errors, low_sizes, pairs, existing)
    return total - total.mean(), variances[:-1], Slope(direction, float(variances[-1]))


def _represented(sizes: Ints, drawn: Ints, existing: list[int]) -> Floats:
    """Compute r(S): how many coalitions outside the other folds each S of a fold represents."""
    in_fold = np.bincount(sizes, minlength=len(existing))
    ratio = [
        (count - int(drawn[size]) + int(in_fold[size])) / max(int(in_fold[size]), 1)
        for size, count in enumerate(existing)
    ]
    return np.array(ratio)[sizes]


def _variances(
    value_weights: Floats, errors: Floats, low_sizes: Ints, pairs: Ints, existing: list[int]
) -> Floats:
    """Estimate variances of sums over pairs that were drawn by size without replacement.

    `value_weights` (m, q) has the weights of each of q sums; the variances are (q,).
    """
    n = len(existing) - 1
    num_drawn_pairs = len(low_sizes)
    variances = np.zeros(value_weights.shape[1])
    for size in np.unique(low_sizes[pairs]).tolist():
        of_size = pairs[low_sizes[pairs] == size]
        complements = of_size + num_drawn_pairs
        count = len(of_size)
        total = existing[size] / (2 if 2 * size == n else 1)
        first, second = errors[of_size], errors[complements]
        if 2 * size != n:
            first, second = first - first.mean(), second - second.mean()
        terms = value_weights[of_size] * first[:, None]
        terms = terms + value_weights[complements] * second[:, None]
        freedom = max(count - 1, 1)
        spread = (terms**2).sum(axis=0) / freedom * student_factor(freedom) ** 2
        variances += total * (total / count) * spread * (1 - count / total)
    return variances
