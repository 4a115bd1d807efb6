"""What a model gets wrong, from the part of the sample that it was not shown.

The regression estimator of sampling theory, with cross-fitting: a model of the game, whatever it
is, plus an unbiased estimate of the Shapley values of what it leaves over (Witter, Liu, Musco,
2025, use the same for other models). Its spread can be estimated from the sample alone, so that
its standard errors hold even where the model does not.
"""

from __future__ import annotations

import math

import numpy as np

from fedcoin.shapley.array_types import Bools, Floats, Ints
from fedcoin.shapley.kriging.posterior import Posterior
from fedcoin.shapley.kriging.prior import shapley_weights

_FOLDS = 8


def correction(
    posterior: Posterior, coalitions: Bools, rng: np.random.Generator
) -> tuple[Floats, Floats]:
    """(n,) what to add to the model's values to make them unbiased, and the sum's variances.

    ``coalitions`` (2 m, n): those drawn without replacement by size, then their complements in the
    same order.
    """
    n = coalitions.shape[1]
    half = len(coalitions) // 2
    sizes = coalitions.sum(axis=1)
    drawn = np.bincount(sizes, minlength=n + 1)
    every = [math.comb(n, size) for size in range(n + 1)]
    low = np.minimum(sizes[:half], n - sizes[:half])
    partly = np.array([have < all_there for have, all_there in zip(drawn, every, strict=True)])
    # Dealt by size, so that each fold has its part of every size.
    pairs = rng.permutation(np.flatnonzero(partly[sizes[:half]]))
    pairs = pairs[np.argsort(low[pairs], kind="stable")]
    weights = shapley_weights(coalitions)
    errors = np.zeros(2 * half)
    total = np.zeros(n)
    for start in range(_FOLDS):
        fold = np.concatenate([pairs[start::_FOLDS], pairs[start::_FOLDS] + half])
        if not len(fold):
            continue
        errors[fold] = posterior.errors_without(fold)
        stands_for = _stands_for(sizes[fold], drawn, every)
        pull = weights[fold] * stands_for[:, None] - posterior.pull[fold]
        total += pull.T @ errors[fold] / _FOLDS
    return total - total.mean(), _variances(weights, errors, low, pairs, every)


def _stands_for(sizes: Ints, drawn: Ints, every: list[int]) -> Floats:
    """For how many coalitions that the other folds do not know each of a fold stands."""
    mine = np.bincount(sizes, minlength=len(every))
    ratio = [
        (all_there - int(drawn[size]) + int(mine[size])) / max(int(mine[size]), 1)
        for size, all_there in enumerate(every)
    ]
    return np.array(ratio)[sizes]


def _variances(weights: Floats, errors: Floats, low: Ints, pairs: Ints, every: list[int]) -> Floats:
    """(n,): of a sum over pairs, drawn by size without replacement."""
    n = weights.shape[1]
    half = len(low)
    variances = np.zeros(n)
    for size in np.unique(low[pairs]).tolist():
        mine = pairs[low[pairs] == size]
        others = mine + half
        count = len(mine)
        total = every[size] / (2 if 2 * size == n else 1)
        first, second = errors[mine], errors[others]
        if 2 * size != n:
            first, second = first - first.mean(), second - second.mean()
        terms = weights[mine] * first[:, None] + weights[others] * second[:, None]
        few = max(count - 1, 1)
        spread = (terms**2).sum(axis=0) / few * (1 + 1.21 / few) ** 2
        variances += total * (total / count) * spread * (1 - count / total)
    return variances
