"""Shapley values from a large sample: kriging with interactions taken for noise.

With many players no sample is large enough to learn interactions, and a Gaussian process of many
thousand coalitions costs too much. Here a coalition's worth is a function of its size, plus for
each member a smooth function of the size (its standing among its fellows), plus noise whose
variance depends on the size: a mixed linear model of a few unknowns a player.
"""

from __future__ import annotations

import numpy as np

from fedcoin.shapley.array_types import Bools, Floats, Ints
from fedcoin.shapley.kriging.johnson_polynomials import log_factorials
from fedcoin.shapley.kriging.prior import Settings, degrees_for, shapley_weights, value_covariances
from fedcoin.shapley.kriging.reml import columns_of, learn

LEARNING_ROWS = 400
_MOST_UNKNOWNS = 1_200
_ROUNDS = 2


def first_order(
    coalitions: Bools, worth: Floats, rng: np.random.Generator
) -> tuple[Floats, Floats]:
    """Values up to an equal part for everyone, adding up to zero, and their variances: (n,), (n,).

    ``coalitions`` (m, n) are distinct, neither empty nor grand; ``worth`` (m,).
    """
    n = coalitions.shape[1]
    unit = float(worth.std()) or 1.0
    count = coalitions.sum(axis=1)
    sizes, size_of = np.unique(count, return_inverse=True)
    scaled = _without_means(worth / unit, size_of)
    rows = rng.permutation(len(worth))[:LEARNING_ROWS]
    settings = learn(coalitions[rows], scaled[rows], degrees_for(n))
    features, value_of, beyond = _size_features(settings, sizes, n)
    noise = settings.noise(sizes, n) + sum(
        settings.variances(degree, sizes, n) for degree in range(2, settings.degrees + 1)
    )
    contrasts = columns_of(coalitions[:1]).contrasts
    centred = _without_means((coalitions - (count / n)[:, None]) @ contrasts, size_of)
    moments = [_moments(centred[size_of == k], scaled[size_of == k]) for k in range(len(sizes))]
    drawn = np.bincount(size_of)
    for _ in range(_ROUNDS):
        mean, inverse = _solve(moments, features, noise)
        slopes = features @ mean
        left = scaled - (centred * slopes[size_of]).sum(axis=1)
        noise = _noise(left, size_of, drawn, noise)
    own = shapley_weights(coalitions).T @ left
    values = contrasts @ (value_of @ mean) + own
    spread = np.einsum("a,axby,b->xy", value_of, inverse, value_of)
    variances = np.einsum("ix,xy,iy->i", contrasts, spread, contrasts)
    variances += beyond * (1 - 1 / n) + _unseen_noise(noise, sizes, drawn, n)
    return (values - values.mean()) * unit, variances * unit**2


def _size_features(settings: Settings, sizes: Ints, n: int) -> tuple[Floats, Floats, float]:
    """A player's standing by size as a mix of few functions: (k, r), its value, what is missing.

    The first is the additive game; the others are uncorrelated, of variance one.
    """
    deviation = np.sqrt(settings.variances(1, sizes, n) / (sizes * (n - sizes) / n))
    matrix = np.multiply.outer(deviation, deviation) * settings.kinship(sizes, sizes, n)
    spread, shapes = np.linalg.eigh(matrix)
    kept = np.argsort(spread)[::-1][: max(2, _MOST_UNKNOWNS // n - 1)]
    kept = kept[spread[kept] > 1e-6 * spread.max()]
    basis = shapes[:, kept] * np.sqrt(spread[kept])
    prior = value_covariances(settings, sizes, n)
    value_of = shapes[:, kept].T @ (prior.additive - settings.additive()) / np.sqrt(spread[kept])
    every = np.arange(1, n)
    whole = np.sqrt(settings.variances(1, every, n) / (every * (n - every) / n))
    both = whole @ settings.kinship(every, every, n) @ whole / (n - 1) ** 2
    # Each player's functions are scaled to the contrasts, of which there are n - 1 for n players.
    beyond = max(float(both - value_of @ value_of), 0.0)
    steady = np.sqrt(settings.additive())
    columns = np.column_stack([np.full(len(sizes), steady), basis])
    return columns, np.append(steady, value_of), beyond


def _moments(centred: Floats, worth: Floats) -> tuple[Floats, Floats]:
    return centred.T @ centred, centred.T @ worth


def _solve(
    moments: list[tuple[Floats, Floats]], features: Floats, noise: Floats
) -> tuple[Floats, Floats]:
    """Expected unknowns (r, n - 1) and their covariance (r, n - 1, r, n - 1)."""
    shapes, width = features.shape[1], len(moments[0][1])
    precision = np.zeros((shapes, width, shapes, width))
    pull = np.zeros((shapes, width))
    for (square, product), row, loud in zip(moments, features, noise, strict=True):
        for a in range(shapes):
            pull[a] += row[a] / loud * product
            for b in range(a + 1):
                precision[a, :, b, :] += row[a] * row[b] / loud * square
    for a in range(shapes):
        for b in range(a):
            precision[b, :, a, :] = precision[a, :, b, :].T
    for a in range(shapes):
        precision[a, np.arange(width), a, np.arange(width)] += 1
    inverse = np.linalg.pinv(precision.reshape(shapes * width, -1), hermitian=True)
    mean = (inverse @ pull.reshape(-1)).reshape(shapes, width)
    return mean, np.asarray(inverse, np.float64).reshape(shapes, width, shapes, width)


def _noise(left: Floats, size_of: Ints, drawn: Ints, before: Floats) -> Floats:
    """Variance of what is left at each size, drawn a little to what was assumed."""
    squares = np.bincount(size_of, left**2)
    level = float((squares / before).sum() / drawn.sum())
    noise: Floats = (squares + 5 * before * level) / (np.maximum(drawn - 1, 0) + 5)
    return noise


def _unseen_noise(noise: Floats, sizes: Ints, drawn: Ints, n: int) -> float:
    """Variance of a value from the noise of coalitions that were not drawn."""
    logs = log_factorials(n)
    every = np.exp(logs[n] - logs[sizes] - logs[n - sizes])
    weight = np.exp(logs[sizes - 1] + logs[n - sizes] - logs[n]) + np.exp(
        logs[sizes] + logs[n - 1 - sizes] - logs[n]
    )
    unseen = np.maximum(1 - drawn / every, 0)
    return float((noise * weight * unseen).sum() / n)


def _without_means(values: Floats, size_of: Ints) -> Floats:
    """Less the mean of each size."""
    count = np.bincount(size_of)
    if values.ndim == 1:
        centred: Floats = values - (np.bincount(size_of, values) / count)[size_of]
        return centred
    sums = np.zeros((len(count), values.shape[1]))
    np.add.at(sums, size_of, values)
    rows: Floats = values - (sums / count[:, None])[size_of]
    return rows
