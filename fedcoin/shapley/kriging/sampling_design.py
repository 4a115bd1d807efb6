"""Which coalitions the method `kriging` evaluates: pairs of complements, in two stages.

Coalitions are drawn by size without replacement, each together with its complement. A first stage
spends half of the budget evenly over the sizes. The second stage goes where the first one varied
most: by the standard deviation of u(S) - u(N without S) over the pairs of size s, divided by
sqrt(s (n - s)). The part of the values' standard error that comes from this size is in proportion
to that.

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
from fedcoin.shapley.strata import allocate, draw_coalitions, num_pairs

# The constants of this module were set by hand; no program that fitted them is kept. What they give
# is measured by `make bench-estimators`.
_FEW_PLAYERS = 20
_PAIRS_PER_SIZE = 8
"""With few players, the most pairs of one size in the first stage."""
_MAX_SIZES = 24
"""The most sizes that are sampled."""
_MIN_RELATIVE_SPREAD = 0.1
"""Sizes that vary by less than this part of the most varying one count as nearly constant."""
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
        game: The game.
        budget: The limit on distinct coalitions to evaluate, at least `min_kriging_budget`.
        rng: Source of randomness.

    Returns:
        Two arrays: bool (2 q, n), q coalitions followed by their complements in the same order; and
        float64 (2 q,), their utilities.
    """
    n = game.players
    existing = {size: num_pairs(n, size) for size in range(1, n // 2 + 1)}
    pairs = min(budget // 2, sum(existing.values()))
    sizes = _choose_sizes(list(existing), pairs)
    caps = [min(existing[size], max(8, 4 * pairs // len(sizes), n)) for size in sizes]
    pairs = min(pairs, sum(caps))
    orders = [draw_coalitions(n, size, cap, rng) for size, cap in zip(sizes, caps, strict=True)]
    has_few_players = n <= _FEW_PLAYERS
    pilot_caps = [min(cap, _PAIRS_PER_SIZE) for cap in caps] if has_few_players else caps
    first = allocate(pairs // 2, pilot_caps, [1.0] * len(sizes))
    samples = [order[:count] for order, count in zip(orders, first, strict=True)]
    worths = [_evaluate_pairs(game, rows) for rows in samples]
    spreads = [
        float((worth[0] - worth[1]).std()) / math.sqrt(size * (n - size)) if worth.size else 0.0
        for worth, size in zip(worths, sizes, strict=True)
    ]
    left = [cap - count for cap, count in zip(caps, first, strict=True)]
    if has_few_players:
        second = _complete_small_sizes(pairs - sum(first), left, spreads, _COMPLETE_SHARE * pairs)
    else:
        second = _allocate_by_spread(pairs, first, left, spreads)
    for i, (order, start, count) in enumerate(zip(orders, first, second, strict=True)):
        rows = order[start : start + count]
        samples[i] = np.concatenate([samples[i], rows])
        worths[i] = np.concatenate([worths[i], _evaluate_pairs(game, rows)], axis=1)
    coalitions = np.concatenate(samples)
    worth = np.concatenate(worths, axis=1).reshape(-1)
    return np.concatenate([coalitions, ~coalitions]), worth


def _choose_sizes(sizes: list[int], pairs: int) -> list[int]:
    """Choose some of the sizes, more of the small ones, so that each gets enough pairs."""
    max_sizes = min(_MAX_SIZES, max(3, pairs // _PAIRS_PER_SIZE))
    if len(sizes) <= max_sizes:
        return sizes
    chosen = np.rint(np.geomspace(1, len(sizes), max_sizes)).astype(int)
    return [sizes[rank - 1] for rank in sorted(set(chosen.tolist()))]


def _complete_small_sizes(
    pairs: int, left: list[int], spreads: list[float], max_complete: float
) -> list[int]:
    """Allocate the second stage among few players: pairs for each size, smallest size first.

    Sizes that hardly vary get none, unless nothing else is left. The others are completed one after
    the other while that takes at most `max_complete` pairs; the rest goes where the first stage
    varied, though never less than half as much to a size as to the most varying one, because a
    first stage of 8 pairs is uncertain.
    """
    peak = max(spreads)
    varies = [spread > _MIN_RELATIVE_SPREAD * peak or peak == 0 for spread in spreads]
    given = [0] * len(left)
    for i in range(len(left)):
        if varies[i]:
            if sum(given) + left[i] > min(max_complete, pairs):
                break
            given[i] = left[i]
    room = [cap - count for cap, count in zip(left, given, strict=True)]
    shares = [
        max(spread, peak / 2, 1e-300) if is_varying else 1e-9 * max(peak, 1e-280)
        for spread, is_varying in zip(spreads, varies, strict=True)
    ]
    rest = allocate(pairs - sum(given), room, shares)
    return [count + more for count, more in zip(given, rest, strict=True)]


def _allocate_by_spread(
    pairs: int, first: list[int], left: list[int], spreads: list[float]
) -> list[int]:
    """Allocate the second stage among many players by Neyman's rule for both stages together."""
    floor = _MIN_RELATIVE_SPREAD * max(spreads) + 1e-300
    pairs_per_spread = pairs / sum(spread + floor for spread in spreads)
    shares = [
        max((spread + floor) * pairs_per_spread - count, 1e-9)
        for spread, count in zip(spreads, first, strict=True)
    ]
    return allocate(pairs - sum(first), left, shares)


def _evaluate_pairs(game: Game, coalitions: Bools) -> Floats:
    """Evaluate coalitions (q, n) and their complements: utilities (2, q)."""
    return game.values(np.concatenate([coalitions, ~coalitions])).reshape(2, -1)
