"""Correlations between coalitions that treat all players alike.

A game is a sum of parts: a function of the coalition's size, a part in which single players count
(degree 1), one in which pairs count beyond their members (degree 2), and so on. A covariance that
does not know the players apart gives, for each degree d, one number to each pair of sizes times a
polynomial of degree d in the overlap of the two coalitions: the zonal polynomials of the Johnson
scheme (Delsarte, 1973), orthogonal under the distribution of the overlap of random coalitions.
Shapley values depend on the part of degree 1 only.
"""

from __future__ import annotations

import numpy as np

from fedcoin.shapley.array_types import Bools, Floats, Ints


def log_factorials(n: int) -> Floats:
    """log(0!), ..., log(n!)."""
    return np.concatenate([[0.0], np.cumsum(np.log(np.arange(1, n + 1)))])


def zonal_tables(players: int, sizes: Ints, degrees: int) -> list[Floats]:
    """For each degree from 1 on: the correlation (k, k, n + 1) by two sizes and the overlap.

    ``sizes`` are k sizes from 1 to n - 1. Coalitions of a size below d, or above n - d, have no
    part of degree d: zero.
    """
    s, t = sizes[:, None, None], sizes[None, :, None]
    overlap = np.arange(players + 1)[None, None, :]
    possible = (overlap <= np.minimum(s, t)) & (overlap >= s + t - players)
    chance = _overlap_chances(players, s, t, overlap, possible)
    x = np.where(possible, overlap, 0).astype(np.float64)
    before, now = np.zeros_like(x), possible.astype(np.float64)
    norm_before, norm = np.ones(x.shape[:2]), np.ones(x.shape[:2])
    own = np.arange(len(sizes))
    tables = []
    for degree in range(1, degrees + 1):
        # The three-term recurrence of polynomials that are orthogonal under the chances.
        middle = (chance * x * now * now).sum(axis=2) / np.where(norm > 0, norm, 1)
        back = norm / np.where(norm_before > 0, norm_before, 1) if degree > 1 else 0 * norm
        after = ((x - middle[..., None]) * now - back[..., None] * before) * possible
        before, now, norm_before = now, after, norm
        norm = (chance * now * now).sum(axis=2)
        has = np.minimum(sizes, players - sizes) >= degree
        scale = np.sqrt(np.where(has, now[own, own, sizes], 1.0))
        both = has[:, None] & has[None, :]
        tables.append(now / np.multiply.outer(scale, scale)[..., None] * both[..., None])
    return tables


def _overlap_chances(n: int, s: Ints, t: Ints, overlap: Ints, possible: Bools) -> Floats:
    """How likely random coalitions of sizes s and t overlap so: hypergeometric."""
    logs = log_factorials(n)
    s, t, overlap = np.broadcast_arrays(s, t, overlap)
    s, t, overlap = s[possible], t[possible], overlap[possible]
    chances = np.zeros(possible.shape)
    chances[possible] = np.exp(
        logs[s] + logs[n - s] + logs[t] + logs[n - t] - logs[n] - logs[overlap]
        - logs[s - overlap] - logs[t - overlap] - logs[n - s - t + overlap]
    )  # fmt: skip
    return chances
