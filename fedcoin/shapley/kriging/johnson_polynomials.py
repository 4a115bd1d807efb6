"""Correlations between coalitions that do not tell the players apart.

A game is a sum of parts of degrees 0 to n: a function of the size (degree 0), a part in which
single players count (degree 1), one in which pairs count beyond their members (degree 2), and so
on. Under a covariance that any permutation of the players leaves unchanged, parts of different
degrees are uncorrelated, and the part of degree d has the correlation

    J_d(s, t, x) = Q_d(x; s, t) / sqrt(Q_d(s; s, s) Q_d(t; t, t))

between coalitions of sizes s and t with overlap x. Q_d(x; s, t) is the polynomial in x of degree d
with leading coefficient 1 that is orthogonal to those of lower degree under the hypergeometric
distribution of the overlap of random coalitions of these sizes,

    P(x) = C(t, x) C(n - t, s - x) / C(n, s).

These are Hahn polynomials (Karlin and McGregor, "The Hahn polynomials, formulas and an
application", Scripta Mathematica 26, 1961); for s = t they are the zonal spherical functions of the
Johnson scheme of the coalitions of s players (Delsarte, "An algebraic approach to the association
schemes of coding theory", Philips Research Reports Supplements 10, 1973). J_1 is the cosine between
the two coalitions as vectors of memberships less their mean. Shapley values depend on the part of
degree 1 only.
"""

from __future__ import annotations

import numpy as np

from fedcoin.shapley.array_types import Bools, Floats, Ints


def log_factorials(n: int) -> Floats:
    """Compute the logarithms of factorials.

    Args:
        n: The largest number, at least 0.

    Returns:
        log(0!), ..., log(n!), natural logarithms, float64 (n + 1,).
    """
    return np.concatenate([[0.0], np.cumsum(np.log(np.arange(1, n + 1)))])


def compute_johnson_correlations(players: int, sizes: Ints, max_degree: int) -> list[Floats]:
    """Compute J_d for all pairs of some sizes, all overlaps and all degrees up to a maximum.

    The polynomials come from their three-term recurrence, with norms under P(x).

    Args:
        players: Number of players, n.
        sizes: k different sizes of coalitions from 1 to n - 1, int64 (k,).
        max_degree: The highest degree, at least 1.

    Returns:
        One array float64 (k, k, n + 1) for each degree from 1 on, by size, size and overlap. 0
        where the overlap is impossible, and where a size is below d or above n - d: such coalitions
        have no part of degree d.
    """
    s, t = sizes[:, None, None], sizes[None, :, None]
    overlap = np.arange(players + 1)[None, None, :]
    possible = (overlap <= np.minimum(s, t)) & (overlap >= s + t - players)
    probability = _overlap_probabilities(players, s, t, overlap, possible)
    x = np.where(possible, overlap, 0).astype(np.float64)
    previous, current = np.zeros_like(x), possible.astype(np.float64)
    previous_norm, norm = np.ones(x.shape[:2]), np.ones(x.shape[:2])
    diagonal = np.arange(len(sizes))
    tables = []
    for degree in range(1, max_degree + 1):
        # Q_d = (x - a) Q_{d-1} - b Q_{d-2}; a is the mean of x under P Q_{d-1}^2, b the ratio of
        # the norms of the two.
        a = (probability * x * current * current).sum(axis=2) / np.where(norm > 0, norm, 1)
        b = norm / np.where(previous_norm > 0, previous_norm, 1) if degree > 1 else 0 * norm
        following = ((x - a[..., None]) * current - b[..., None] * previous) * possible
        previous, current, previous_norm = current, following, norm
        norm = (probability * current * current).sum(axis=2)
        has_degree = np.minimum(sizes, players - sizes) >= degree
        scale = np.sqrt(np.where(has_degree, current[diagonal, diagonal, sizes], 1.0))
        both = has_degree[:, None] & has_degree[None, :]
        tables.append(current / np.multiply.outer(scale, scale)[..., None] * both[..., None])
    return tables


def _overlap_probabilities(n: int, s: Ints, t: Ints, overlap: Ints, possible: Bools) -> Floats:
    """Compute P(x), the hypergeometric distribution of the overlap; 0 where it is impossible."""
    logs = log_factorials(n)
    s, t, overlap = np.broadcast_arrays(s, t, overlap)
    s, t, overlap = s[possible], t[possible], overlap[possible]
    probabilities = np.zeros(possible.shape)
    probabilities[possible] = np.exp(
        logs[s] + logs[n - s] + logs[t] + logs[n - t] - logs[n] - logs[overlap]
        - logs[s - overlap] - logs[t - overlap] - logs[n - s - t + overlap]
    )  # fmt: skip
    return probabilities
