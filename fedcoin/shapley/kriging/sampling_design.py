"""Which coalitions the method `kriging` evaluates: pairs of complements, in two stages.

Coalitions are drawn by size without replacement, each together with its complement; among up to 20
players so that they are far apart from each other (`spread_order`). A first stage spends half of
the budget evenly over the sizes, but evaluates all single players where that takes at most a
quarter of the budget, or where the budget is half of all coalitions. The second stage goes where
the first one varied most: by the standard deviation of u(S) - u(N without S) over the pairs of size
s, divided by sqrt(s (n - s)). The part of the values' standard error that comes from this size is
in proportion to that. A first stage of a few pairs may miss a size's irregular coalitions, so that
its variance is moved towards the mean variance of all sizes that are not complete.

Up to 20 players, the smallest and largest coalitions, which count most in the values, are
evaluated completely while that takes no more than half of the budget. Among more players hardly
any size can be completed, and both stages together follow Neyman's allocation: counts in
proportion to the standard deviations (Neyman, JRSS 97, 1934).
"""

from __future__ import annotations

import math

import numpy as np

from fedcoin.shapley.array_types import Bools, Floats
from fedcoin.shapley.game import Game
from fedcoin.shapley.kriging.spread_order import SpreadOrder
from fedcoin.shapley.strata import allocate, draw_coalitions, num_pairs

# The constants of this module were set by hand; no program that fitted them is kept. What they give
# is measured by `make bench-estimators`.
_FEW_PLAYERS = 20
"""Up to this number of players sizes may be completed, and drawn pairs are far apart. Coalitions of
more players are hardly ever close to each other."""
_PAIRS_PER_SIZE = 8
"""With few players, the most pairs of one size in the first stage."""
_MAX_SIZES = 24
"""The most sizes that are sampled."""
_MIN_RELATIVE_SPREAD = 0.1
"""Sizes vary by at least this part of the most varying one."""
_PRIOR_PAIRS = 1
"""The weight of the mean variance of all sizes in that of one size, in pairs."""
_COMPLETE_FIRST_SHARE = 0.25
"""The part of the budget up to which all coalitions of one player are evaluated in the first stage,
with their complements."""
_MAX_POOL = 2_048
"""The most pairs to choose from, of all sizes together. Time and memory grow with it."""
_COMPLETE_SHARE = 0.5
"""The part of the budget that may go into sizes that are evaluated completely."""


def min_kriging_budget(n: int) -> int:
    """Compute the smallest budget from which kriging can tell players apart and fit its prior.

    Args:
        n: Number of players.

    Returns:
        2 n + 8, or all coalitions but the empty and the grand one when there are fewer.
    """
    return min((1 << n) - 2, 2 * n + 8)


def evaluate_sample(game: Game, budget: int, rng: np.random.Generator) -> tuple[Bools, Floats]:
    """Draw and evaluate pairs of coalitions and their complements.

    Args:
        game: The game whose coalitions are evaluated, of n players.
        budget: The limit on distinct coalitions to evaluate, at least `min_kriging_budget`.
        rng: Source of randomness.

    Returns:
        Two arrays: bool (2 q, n), q coalitions followed by their complements in the same order; and
        float64 (2 q,), their utilities relative to the empty coalition's, in the game's unit.
    """
    n = game.players
    existing = {size: num_pairs(n, size) for size in range(1, n // 2 + 1)}
    pairs = min(budget // 2, sum(existing.values()))
    sizes = _choose_sizes(list(existing), pairs)
    caps = [min(existing[size], max(8, 4 * pairs // len(sizes), n)) for size in sizes]
    pairs = min(pairs, sum(caps))
    orders = _PairOrders(n, sizes, caps, rng)
    has_few_players = n <= _FEW_PLAYERS
    pilot_caps = [min(cap, _PAIRS_PER_SIZE) for cap in caps] if has_few_players else caps
    first = allocate(pairs // 2, pilot_caps, [1.0] * len(sizes))
    if n <= _COMPLETE_FIRST_SHARE * pairs or 2 * pairs >= sum(existing.values()):
        # Without single players and their complements, veto players go unnoticed.
        first = [n, *allocate(pairs // 2 - n, pilot_caps[1:], [1.0] * (len(sizes) - 1))]
    samples = orders.draw(first)
    worths = game.pair_values(samples)
    spreads = np.array(
        [
            float((worth[0] - worth[1]).std()) / math.sqrt(size * (n - size)) if worth.size else 0.0
            for worth, size in zip(worths, sizes, strict=True)
        ]
    )
    left = [cap - count for cap, count in zip(caps, first, strict=True)]
    if has_few_players:
        remaining = pairs - sum(first)
        varies = spreads > _MIN_RELATIVE_SPREAD * float(np.median(spreads))
        max_complete = min(int(_COMPLETE_SHARE * pairs), remaining)
        second = _complete_small_sizes(left, varies, max_complete)
    else:
        second = [0] * len(left)
    rest = _allocate_by_spread(pairs, first, second, left, spreads)
    second = [count + more for count, more in zip(second, rest, strict=True)]
    samples = orders.draw([count + more for count, more in zip(first, second, strict=True)])
    added = game.pair_values([rows[start:] for rows, start in zip(samples, first, strict=True)])
    parts = [part for both in zip(worths, added, strict=True) for part in both]
    coalitions = np.concatenate(samples)
    worth = np.concatenate(parts, axis=1).reshape(-1)
    return np.concatenate([coalitions, ~coalitions]), worth


class _PairOrders:
    """In which order the pairs of each size are drawn, up to `caps` of them.

    The first pairs of each size are far apart from each other among few players.
    """

    def __init__(self, n: int, sizes: list[int], caps: list[int], rng: np.random.Generator) -> None:
        self._pool = _MAX_POOL // (n // 2) if n <= _FEW_PLAYERS else 0
        self._rows = [
            draw_coalitions(n, size, min(num_pairs(n, size), max(cap, self._pool)), rng)
            for size, cap in zip(sizes, caps, strict=True)
        ]
        pools = [rows[: self._pool] for rows in self._rows]
        self._spread = SpreadOrder(n, sizes, pools) if self._pool else None

    def draw(self, counts: list[int]) -> list[Bools]:
        """Draw the first pairs of each size: one coalition of each, bool (count, n)."""
        if self._spread is None:
            return [rows[:count] for rows, count in zip(self._rows, counts, strict=True)]
        spread = self._spread.draw([min(count, self._pool) for count in counts])
        return [
            np.concatenate([first, rows[self._pool : count]])
            for first, rows, count in zip(spread, self._rows, counts, strict=True)
        ]


def _choose_sizes(sizes: list[int], pairs: int) -> list[int]:
    """Choose some of the sizes, more of the small ones, so that each gets enough pairs."""
    max_sizes = min(_MAX_SIZES, max(3, pairs // _PAIRS_PER_SIZE))
    if len(sizes) <= max_sizes:
        return sizes
    chosen = np.rint(np.geomspace(1, len(sizes), max_sizes)).astype(int)
    return [sizes[rank - 1] for rank in sorted(set(chosen.tolist()))]


def _complete_small_sizes(left: list[int], varies: Bools, max_complete: int) -> list[int]:
    """Complete sizes that vary, smallest first, while that takes at most `max_complete` pairs."""
    given = [0] * len(left)
    for i in np.flatnonzero(varies).tolist():
        if sum(given) + left[i] > max_complete:
            break
        given[i] = left[i]
    return given


def _allocate_by_spread(
    pairs: int, first: list[int], second: list[int], left: list[int], spreads: Floats
) -> list[int]:
    """Allocate what is left by Neyman's rule for all stages together, among incomplete sizes."""
    room = [cap - count for cap, count in zip(left, second, strict=True)]
    counts = np.array(first)
    is_open = np.array(room) > 0
    if not is_open.any():
        return [0] * len(left)
    # The largest spread may be tiny or huge: relative to it, squares stay in range.
    relative = spreads / (float(spreads[is_open].max()) or 1.0)
    mean = float((relative[is_open] ** 2).mean())
    shrunk = np.sqrt((counts * relative**2 + _PRIOR_PAIRS * mean) / (counts + _PRIOR_PAIRS))
    shrunk = np.maximum(shrunk, _MIN_RELATIVE_SPREAD * shrunk[is_open].max()) + 1e-9
    available = pairs - sum(first) - sum(second) + counts[is_open].sum()
    wanted = shrunk * available / shrunk[is_open].sum()
    shares = np.where(is_open, np.maximum(wanted - counts, 1e-9), 0.0)
    return allocate(pairs - sum(first) - sum(second), room, shares.tolist())
