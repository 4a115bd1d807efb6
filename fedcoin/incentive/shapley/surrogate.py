"""The method ``kriging``: which coalitions to evaluate, and what they say together."""

from __future__ import annotations

import numpy as np

from fedcoin.incentive.layouts import Bools
from fedcoin.incentive.shapley.correction import correction
from fedcoin.incentive.shapley.first_order import first_order
from fedcoin.incentive.shapley.games import Game
from fedcoin.incentive.shapley.kriging import krige
from fedcoin.incentive.shapley.result import Estimate, need
from fedcoin.incentive.shapley.sampling import draw, pairs_in, spread

MAX_ROWS = 1_600
"""The most coalitions that go into one Gaussian process."""

_TRUST_IN_CORRECTION = 0.5
"""Between the model alone (0), which is the nearer one where it is right, and the unbiased
estimate (1), which does not depend on it."""

_HONEST_PART, _MODEL_PART = 0.75, 0.15
"""The variance of what lies halfway between the two, from theirs: measured on many games."""

_ROUNDING = 1e-9
_WHOLE_SHARE = 0.55
_PAIRS_A_LEVEL = 8


def least_budget(n: int) -> int:
    """The fewest evaluations from which ``kriging`` can tell the players apart and learn."""
    return min((1 << n) - 2, 2 * n + 8)


def kriging(game: Game, budget: int, rng: np.random.Generator) -> Estimate:
    """Pairs of coalitions and their complements, joined by a Gaussian process.

    The smallest and the largest coalitions, which count most, are evaluated all while that takes
    little more than half of the budget; the others are drawn evenly by size without replacement.
    Half of the ``correction`` for what the model gets wrong is added, and standard errors are
    mostly those of the correction. Samples of more than ``MAX_ROWS`` go into a simpler model,
    ``first_order``. Raises ``Refusal`` BAD_BUDGET for fewer than 2 n + 8 evaluations (or all).
    """
    n = game.players
    need(budget, least_budget(n), "kriging")
    coalitions = plan(n, budget, rng)
    worth = game.values(coalitions)
    share = (game.grand - game.empty) / n
    if np.ptp(worth) == 0:
        return Estimate(np.full(n, share), np.zeros(n), game.evaluations, "kriging")
    if len(coalitions) > MAX_ROWS:
        values, variances = first_order(coalitions, worth, rng)
    else:
        found = krige(coalitions, worth, rng)
        unbiased, honest = correction(found, coalitions, rng)
        values = found.values + _TRUST_IN_CORRECTION * unbiased
        variances = _HONEST_PART * honest + _MODEL_PART * found.variances
    tiny = _ROUNDING * float(np.abs(worth).max())
    errors = np.sqrt(variances + tiny**2)
    return Estimate(values + share, errors, game.evaluations, "kriging")


def plan(n: int, budget: int, rng: np.random.Generator) -> Bools:
    """Distinct coalitions to evaluate, in pairs with their complements: bool (m, n)."""
    sizes = range(1, n // 2 + 1)
    room = {size: pairs_in(n, size) for size in sizes}
    pairs = min(budget // 2, sum(room.values()))
    counts = dict.fromkeys(sizes, 0)
    left = pairs
    most = pairs if pairs == sum(room.values()) else _WHOLE_SHARE * pairs
    for size in sizes:
        if pairs - left + room[size] > most:
            break
        counts[size] = room[size]
        left -= room[size]
    rest = _levels([size for size in sizes if not counts[size]], left)
    given = spread(left, [room[size] for size in rest], [1.0] * len(rest))
    counts.update(zip(rest, given, strict=True))
    rows = np.concatenate([draw(n, size, count, rng) for size, count in counts.items() if count])
    return np.concatenate([rows, ~rows])


def _levels(sizes: list[int], pairs: int) -> list[int]:
    """Some of the sizes, more of the small ones, such that each gets a fair number of pairs."""
    most = max(3, pairs // _PAIRS_A_LEVEL)
    if len(sizes) <= most:
        return sizes
    places = np.geomspace(1, len(sizes), most)
    return [sizes[place - 1] for place in sorted(set(np.rint(places).astype(int).tolist()))]
