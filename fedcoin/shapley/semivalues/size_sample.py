"""Semivalues from a sample of coalitions of each size, with standard errors.

Notation, in addition to that of the package and of `semivalues`: among the coalitions of size s,

    m(s)      the mean utility, the "level"
    b_i(s)    the mean with player i less the mean without it, the "slope":
              mean of (u(S) - m(s)) (z_i - p) / (p (1 - p)),  p = s / n, z_i = 1 if i is in S
    k_s, K_s  how many coalitions were evaluated, and how many exist

The mean of what i adds to S without i is

    m(s + 1) - m(s) + (1 - (s + 1) / n) b_i(s + 1) + s / n b_i(s)

so that, with w_(-1) = w_n = 0,

    phi_i = sum over s of  (w_(s-1) - w_s) m(s)  +  ((n - s) w_(s-1) + s w_s) / n  b_i(s)

A size that was evaluated completely gives m(s) and b_i(s) exactly. For the others an additive game,
theta_i for each player with sum 0, is fitted by weighted least squares. Its slope is known,
n / (n - 1) theta_i, and the sample estimates by how much the game differs from it (regression
estimation; Cochran, "Sampling techniques", 1977, chapter 7). The coalitions are divided into folds,
and each fold's difference is from a fit to the others, so that the fit biases nothing.

Coalitions that were drawn together are no independent samples: those of a walk, each of which has
all members of the one before, and complements. Errors are summed over such a cluster before they
are squared.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from fedcoin.data.errors import RefusalError
from fedcoin.shapley.array_types import Bools, Floats, Ints
from fedcoin.shapley.errors import ShapleyCode
from fedcoin.shapley.recording import Evaluations
from fedcoin.shapley.std_errors import shrink_variances, student_factor

_FOLDS = 5
_RIDGES = (0.01, 0.3, 3.0, math.inf)
"""Ridge parameters to choose from, in mean squares of a membership; infinity fits nothing. Set by
hand; the one with the smallest error on the other folds is used."""
_SHRINKAGE_CLUSTERS = 4
"""With this number times n clusters, a player's own variance has the weight of the mean variance of
all players (see `shrink_variances`). Set by hand; `pytest tests/shapley/test_semivalues.py -m slow`
measures the intervals that result."""
_FIT_VARIANCE = 1.1
"""By how much to multiply variances, for what the choice of a fit takes from the residuals. Set so
that 95 % intervals cover about 95 % in that test."""
_BLOCK_NUMBERS = 1 << 24
"""How many float64 numbers a temporary table may have."""


@dataclass(frozen=True, slots=True)
class _SizeWeights:
    """How much each size's level and slope count in the values; (n + 1,) each."""

    levels: Floats
    slopes: Floats


@dataclass(frozen=True, slots=True)
class _Sample:
    """Coalitions of the sizes that were not evaluated completely."""

    members: Bools
    """Which players are in each coalition, bool (m, n)."""
    worth: Floats
    """Utilities less the mean of their size in the sample, (m,)."""
    sizes: Ints
    """Size of each coalition, (m,)."""
    counts: Ints
    """k_s of each coalition's size, (m,)."""
    unseen: Floats
    """1 - k_s / K_s of each coalition's size, (m,)."""
    clusters: Ints
    """Index of each coalition's cluster, from 0, (m,)."""
    slope_weights: Floats
    """The weight of each coalition's size, (m,)."""
    level_weights: Floats


def estimate_from_sizes(evaluations: Evaluations, weights: Floats) -> tuple[Floats, Floats]:
    """Estimate semivalues from evaluated coalitions.

    Args:
        evaluations: Coalitions with the empty and the grand one among them. Those of a size are all
            of it, or a random sample.
        weights: w_s, the probability of each size from 0 to n - 1, (n,); their sum is 1.

    Returns:
        Values and standard errors, float64 (n,) each.

    Raises:
        RefusalError: NOT_EVALUATED when no size has two coalitions.
    """
    coalitions = evaluations.coalitions
    n = coalitions.shape[1]
    size = coalitions.sum(axis=1).astype(np.int64)
    origin = float(evaluations.utilities[size == 0][0])
    scale = float(np.abs(evaluations.utilities / 2 - origin / 2).max()) * 2 or 1.0
    scale = scale if math.isfinite(scale) else 2.0**1023
    worth = evaluations.utilities / scale - origin / scale
    counts = np.bincount(size, minlength=n + 1)
    existing = np.array([float(min(math.comb(n, s), 1 << 1000)) for s in range(n + 1)])
    is_complete = counts == existing
    moved = _move_weights(_weigh_sizes(weights), is_complete | (counts >= 2))
    values = np.zeros(n)
    means = np.zeros(n + 1)
    for s in np.flatnonzero(counts).tolist():
        rows = np.flatnonzero(size == s)
        means[s] = worth[rows].mean()
        values += moved.levels[s] * means[s]
        if is_complete[s] and 0 < s < n:
            share = s / n
            slopes = (worth[rows] - means[s]) @ coalitions[rows] / len(rows)
            values += moved.slopes[s] * slopes / (share * (1 - share))
    rows = np.flatnonzero(~is_complete[size] & (counts[size] >= 2))
    if not len(rows):
        return values * scale, np.zeros(n)
    sizes = size[rows]
    sample = _Sample(
        members=coalitions[rows],
        worth=(worth - means[size])[rows],
        sizes=sizes,
        counts=counts[sizes],
        unseen=1 - counts[sizes] / existing[sizes],
        clusters=_find_clusters(coalitions)[rows],
        slope_weights=moved.slopes[sizes],
        level_weights=moved.levels[sizes],
    )
    more, variances = _estimate_sampled(sample, existing[sizes])
    return (values + more) * scale, np.sqrt(variances) * scale


def _weigh_sizes(weights: Floats) -> _SizeWeights:
    n = len(weights)
    before = np.concatenate([[0.0], weights])
    after = np.concatenate([weights, [0.0]])
    sizes = np.arange(n + 1)
    slopes = ((n - sizes) * before + sizes * after) / n
    slopes[[0, n]] = 0.0
    return _SizeWeights(before - after, slopes)


def _move_weights(weights: _SizeWeights, is_usable: Bools) -> _SizeWeights:
    """Let sizes that were hardly evaluated be interpolated between those that were.

    Raises:
        RefusalError: NOT_EVALUATED when no size between 0 and n is usable.
    """
    n = len(is_usable) - 1
    inner = np.flatnonzero(is_usable[1:n]) + 1
    if n > 1 and not len(inner):
        raise RefusalError(
            ShapleyCode.NOT_EVALUATED,
            "no two coalitions of one size are recorded; evaluate more coalitions",
            field="recorded",
        )
    return _SizeWeights(
        _interpolate(weights.levels, np.flatnonzero(is_usable)), _interpolate(weights.slopes, inner)
    )


def _interpolate(weights: Floats, known: Ints) -> Floats:
    """Move each weight to the known sizes next to it, in proportion to how near they are."""
    moved = np.zeros_like(weights)
    if not len(known):
        return moved
    for size in np.flatnonzero(weights).tolist():
        upper = int(np.searchsorted(known, size))
        above, below = known[min(upper, len(known) - 1)], known[max(upper - 1, 0)]
        share = 1.0 if above <= below else min(max((size - below) / (above - below), 0.0), 1.0)
        moved[above] += share * weights[size]
        moved[below] += (1 - share) * weights[size]
    return moved


def _find_clusters(coalitions: Bools) -> Ints:
    """Number the clusters of coalitions that were drawn together, (m,)."""
    packed = np.packbits(coalitions, axis=1)
    grows = np.logical_not((packed[:-1] & ~packed[1:]).any(axis=1))
    # The empty coalition and the grand one belong to no walk.
    sizes = coalitions.sum(axis=1)
    inner = (sizes > 0) & (sizes < coalitions.shape[1])
    grows &= inner[:-1] & inner[1:]
    chains = np.concatenate([[0], np.cumsum(~grows)])
    row_of = {row.tobytes(): index for index, row in enumerate(packed)}
    complements = np.packbits(~coalitions, axis=1)
    parents = list(range(int(chains[-1]) + 1))

    def root(chain: int) -> int:
        while parents[chain] != chain:
            parents[chain] = parents[parents[chain]]
            chain = parents[chain]
        return chain

    for index, key in enumerate(complements):
        other = row_of.get(key.tobytes())
        if other is not None and inner[index]:
            parents[root(int(chains[index]))] = root(int(chains[other]))
    roots = np.array([root(chain) for chain in range(len(parents))])
    clusters: Ints = np.unique(roots[chains], return_inverse=True)[1].reshape(-1)
    return clusters


def _estimate_sampled(sample: _Sample, existing: Floats) -> tuple[Floats, Floats]:
    """Estimate the part of the sampled sizes in the values, and the variances of the values.

    The levels' part is left out of the values: `worth` is relative to the levels.
    """
    n = sample.members.shape[1]
    clusters = np.unique(sample.clusters, return_inverse=True)[1].reshape(-1)
    num_clusters = int(clusters.max()) + 1
    fitted, residuals = _fit_additive(sample, clusters)
    centre = _SizeMeans(sample.sizes)
    level_shift = centre.of(residuals)
    residuals = residuals - level_shift
    shares = sample.sizes / n
    # The sample's mean takes the place of the mean over all coalitions of a size.
    corrections = sample.counts / (sample.counts - 1) * (1 - 1 / existing)
    of_size = _count_clusters(sample.sizes, clusters)
    factors = sample.slope_weights * corrections / (shares * (1 - shares)) / sample.counts
    spread = np.sqrt(of_size / np.maximum(of_size - 1, 1) * sample.unseen)
    order = np.argsort(clusters, kind="stable")
    starts = np.searchsorted(clusters[order], np.arange(num_clusters))
    values, variances = fitted.copy(), np.empty(n)
    # The mean of `worth` is 0 in each size: this is what the fit moved, of which the mean is 0.
    values += float((sample.level_weights / sample.counts) @ level_shift)
    levels = sample.level_weights / sample.counts * residuals
    step = max(1, _BLOCK_NUMBERS // len(residuals))
    for start in range(0, n, step):
        block = slice(start, start + step)
        terms = (factors * residuals)[:, None] * (sample.members[:, block] - shares[:, None])
        values[block] += terms.sum(axis=0)
        errors = (terms - centre.of(terms) + levels[:, None]) * spread[:, None]
        sums = np.add.reduceat(errors[order], starts, axis=0)
        variances[block] = (sums**2).sum(axis=0)
    if of_size.min() < 2:
        return values, np.full(n, np.inf)
    shrunk = shrink_variances(variances, num_clusters, _SHRINKAGE_CLUSTERS * n)
    return values, _FIT_VARIANCE * shrunk * student_factor(int(of_size.min()) - 1) ** 2


def _count_clusters(sizes: Ints, clusters: Ints) -> Ints:
    """Count for each coalition the clusters that have coalitions of its size, (m,)."""
    pairs = np.unique(np.stack([sizes, clusters]), axis=1)
    counts: Ints = np.bincount(pairs[0])[sizes]
    return counts


class _SizeMeans:
    """Computes means over the coalitions of each size."""

    def __init__(self, sizes: Ints) -> None:
        self._order = np.argsort(sizes, kind="stable")
        ordered = sizes[self._order]
        self._starts = np.flatnonzero(np.concatenate([[True], ordered[1:] != ordered[:-1]]))
        self._group = np.cumsum(np.concatenate([[False], ordered[1:] != ordered[:-1]]))
        self._counts = np.diff(np.append(self._starts, len(sizes)))

    def of(self, rows: Floats) -> Floats:
        """Return for each row the mean over the rows of its size, shaped as `rows`."""
        sums = np.add.reduceat(rows[self._order], self._starts, axis=0)
        means = sums / self._counts.reshape(-1, *[1] * (rows.ndim - 1))
        spread: Floats = np.empty_like(rows)
        spread[self._order] = means[self._group]
        return spread


def _fit_additive(sample: _Sample, clusters: Ints) -> tuple[Floats, Floats]:
    """Fit the additive game; return its part in the values, (n,), and the residuals, (m,)."""
    n = sample.members.shape[1]
    if clusters.max() < _FOLDS:  # No fold would have anything to compare with.
        clusters = np.arange(len(clusters))
    folds = np.random.default_rng(0).permutation(int(clusters.max()) + 1)[clusters] % _FOLDS
    importance = sample.slope_weights / sample.counts
    frequencies = np.zeros((n + 1, n))
    for size in np.unique(sample.sizes).tolist():
        frequencies[size] = sample.members[sample.sizes == size].mean(axis=0)
    products, moments = np.zeros((_FOLDS, n, n)), np.zeros((_FOLDS, n))
    for fold in range(_FOLDS):
        rows = folds == fold
        centred = sample.members[rows] - frequencies[sample.sizes[rows]]
        weighted = centred.T * importance[rows]
        products[fold], moments[fold] = weighted @ centred, weighted @ sample.worth[rows]
    best: tuple[float, Floats, Floats] | None = None
    for ridge in _RIDGES:
        thetas: Floats = np.zeros((_FOLDS, n))
        if math.isfinite(ridge):
            thetas = _solve_without_each(products, moments, ridge)
        # The sum of theta is 0, so that memberships need not be centred.
        predictions = sample.members @ thetas.T
        residuals = sample.worth - predictions[np.arange(len(folds)), folds]
        differences = residuals - _SizeMeans(sample.sizes).of(residuals)
        loss = float(importance @ differences**2)
        if best is None or loss < best[0]:
            best = loss, thetas, residuals
    assert best is not None
    _, thetas, residuals = best
    # Each coalition counts with the fit that it is compared with: the weights add up to those of
    # the sizes.
    shares = np.array([importance[folds == fold].sum() for fold in range(_FOLDS)])
    return shares @ thetas * (n / max(n - 1, 1)), residuals


def _solve_without_each(products: Floats, moments: Floats, ridge: float) -> Floats:
    """Fit the additive game to all folds but one, for each of them: (folds, n), rows of sum 0."""
    folds, n = moments.shape
    all_products, all_moments = products.sum(axis=0), moments.sum(axis=0)
    thetas = np.zeros((folds, n))
    for fold in range(folds):
        matrix = all_products - products[fold]
        diagonal = float(np.trace(matrix)) / n
        if diagonal <= 0:
            continue
        # The penalty is that of a prior whose precision is one coalition's, so that it fades.
        matrix = matrix + np.full((n, n), diagonal / n) + np.eye(n) * (ridge * diagonal / n)
        theta = np.linalg.solve(matrix, all_moments - moments[fold])
        thetas[fold] = theta - theta.mean()
    return thetas
