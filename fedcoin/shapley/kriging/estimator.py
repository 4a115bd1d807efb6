"""The method ``kriging``: which coalitions to evaluate, and what they say together."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from fedcoin.shapley.array_types import Bools, Floats
from fedcoin.shapley.exact import MAX_EXACT_PLAYERS, exact
from fedcoin.shapley.game import Game
from fedcoin.shapley.kriging.correction import correction
from fedcoin.shapley.kriging.large_samples import first_order
from fedcoin.shapley.kriging.posterior import fit_posterior
from fedcoin.shapley.kriging.reml import columns_of
from fedcoin.shapley.result import Estimate, need
from fedcoin.shapley.strata import draw, pairs_in, spread

MAX_ROWS = 1_600
"""The most coalitions that go into one Gaussian process."""

_TRUST_IN_CORRECTION = 0.25
"""Between the model alone (0), which is the nearer one where it is right, and the unbiased
estimate (1), which does not depend on it: measured on many games."""

_HONEST_PART, _MODEL_PART = 0.4, 0.5
"""The variance of what lies there between the two, from theirs: so that intervals hold."""

_ROUNDING = 1e-9
_PAIRS_A_LEVEL = 8
_MOST_LEVELS = 24
_LEAST_SPREAD = 0.1
_FEW_PLAYERS = 20
_WHOLE_SHARE = 0.5


def least_budget(n: int) -> int:
    """The fewest evaluations from which ``kriging`` can tell the players apart and learn."""
    return min((1 << n) - 2, 2 * n + 8)


def kriging(game: Game, budget: int, rng: np.random.Generator) -> Estimate:
    """Pairs of coalitions and their complements, joined by a Gaussian process.

    Pairs are drawn by size without replacement, some of each at first. Up to 20 players the
    smallest and largest coalitions, which count most, are then evaluated all while that takes no
    more than half of the budget; the rest goes where the first ones varied most. A quarter of the
    ``correction`` for what the model gets wrong is added, and standard errors are from both.
    Samples of more than ``MAX_ROWS`` go into a simpler model, ``first_order``.
    Raises ``Refusal`` BAD_BUDGET for fewer than 2 n + 8 evaluations (or all).
    """
    n = game.players
    need(budget, least_budget(n), "kriging")
    if n <= MAX_EXACT_PLAYERS and budget >= (1 << n) - 2:
        return replace(exact(game, budget, rng), method="kriging")
    coalitions, worth = _look(game, budget, rng)
    tiny = _ROUNDING * max(float(np.abs(worth).max()), abs(game.grand), abs(game.empty))
    plain = _plain_values(coalitions, worth, tiny)
    if plain is not None:
        values, variances = plain, np.zeros(n)
    elif len(coalitions) > MAX_ROWS:
        values, variances = first_order(coalitions, worth, rng)
    else:
        found = fit_posterior(coalitions, worth, rng)
        unbiased, honest = correction(found, coalitions, rng)
        values = found.values + _TRUST_IN_CORRECTION * unbiased
        # A player's own spread is known from few terms: half of everybody's goes in.
        steady = (honest + honest.mean()) / 2
        variances = _HONEST_PART * steady + _MODEL_PART * found.variances
    values += (game.grand - game.empty) / n
    return Estimate(values, np.sqrt(variances + tiny**2), game.evaluations, "kriging")


def _look(game: Game, budget: int, rng: np.random.Generator) -> tuple[Bools, Floats]:
    """Coalitions (2 m, n), the second half complements of the first, and what they are worth."""
    n = game.players
    room = {size: pairs_in(n, size) for size in range(1, n // 2 + 1)}
    pairs = min(budget // 2, sum(room.values()))
    levels = _levels(list(room), pairs)
    most = [min(room[size], max(8, 4 * pairs // len(levels), n)) for size in levels]
    pairs = min(pairs, sum(most))
    orders = [draw(n, size, count, rng) for size, count in zip(levels, most, strict=True)]
    few = n <= _FEW_PLAYERS
    pilot = [min(cap, _PAIRS_A_LEVEL) for cap in most] if few else most
    first = spread(pairs // 2, pilot, [1.0] * len(levels))
    looked = [order[:count] for order, count in zip(orders, first, strict=True)]
    found = [_worth_of_pairs(game, rows) for rows in looked]
    wanted = [
        float((both[0] - both[1]).std()) / math.sqrt(size * (n - size)) if both.size else 0.0
        for both, size in zip(found, levels, strict=True)
    ]
    left = [cap - have for cap, have in zip(most, first, strict=True)]
    rest = pairs - sum(first)
    if few:
        second = _allot(rest, left, wanted, _WHOLE_SHARE * pairs)
    else:
        # No size can be seen whole: Neyman's allocation of both halves together.
        floor = _LEAST_SPREAD * max(wanted) + 1e-300
        share = pairs / sum(want + floor for want in wanted)
        more = [
            max((want + floor) * share - have, 1e-9)
            for want, have in zip(wanted, first, strict=True)
        ]
        second = spread(rest, left, more)
    for place, (order, have, count) in enumerate(zip(orders, first, second, strict=True)):
        rows = order[have : have + count]
        looked[place] = np.concatenate([looked[place], rows])
        found[place] = np.concatenate([found[place], _worth_of_pairs(game, rows)], axis=1)
    rows = np.concatenate(looked)
    return np.concatenate([rows, ~rows]), np.concatenate(found, axis=1).reshape(-1)


def _allot(pairs: int, left: list[int], wanted: list[float], most: float) -> list[int]:
    """How many more pairs each level gets, from the smallest size on.

    Levels that hardly vary get none, unless there is nothing else. The others are completed one
    after the other while that takes less than ``most``; the rest goes where it is ``wanted``, as
    far as so small a sample can tell.
    """
    peak = max(wanted)
    lively = [want > _LEAST_SPREAD * peak or peak == 0 for want in wanted]
    given = [0] * len(left)
    for place in range(len(left)):
        if lively[place]:
            if sum(given) + left[place] > min(most, pairs):
                break
            given[place] = left[place]
    room = [cap - have for cap, have in zip(left, given, strict=True)]
    shares = [
        max(want, peak / 2, 1e-300) if lives else 1e-9 * max(peak, 1e-280)
        for want, lives in zip(wanted, lively, strict=True)
    ]
    rest = spread(pairs - sum(given), room, shares)
    return [have + more for have, more in zip(given, rest, strict=True)]


def _worth_of_pairs(game: Game, rows: Bools) -> Floats:
    """(2, m): of coalitions and of their complements."""
    return game.values(np.concatenate([rows, ~rows])).reshape(2, -1)


def _levels(sizes: list[int], pairs: int) -> list[int]:
    """Some of the sizes, more of the small ones, such that each gets a fair number of pairs."""
    most = min(_MOST_LEVELS, max(3, pairs // _PAIRS_A_LEVEL))
    if len(sizes) <= most:
        return sizes
    places = np.geomspace(1, len(sizes), most)
    return [sizes[place - 1] for place in sorted(set(np.rint(places).astype(int).tolist()))]


def _plain_values(coalitions: Bools, worth: Floats, tiny: float) -> Floats | None:
    """The values, up to an equal part for everyone, of a game that holds no surprise.

    Where a coalition's worth less its complement's is additive but for a part that depends on the
    size, as in additive and symmetric games and where only pairs interact, the additive part is
    the value. None where it is not so, or where the sample is too small to tell.
    """
    half = len(coalitions) // 2
    columns = columns_of(coalitions[:half])
    both = np.column_stack([columns.sizes, columns.players])
    if half < both.shape[1] + 2:
        return None
    gaps = (worth[:half] - worth[half:]) / 2
    found, _, rank, _ = np.linalg.lstsq(both, gaps, rcond=None)
    if rank < both.shape[1] or np.abs(gaps - both @ found).max() > tiny:
        return None
    values: Floats = columns.contrasts @ found[columns.sizes.shape[1] :]
    return values
