"""Shapley values of any game, without a chain.

Usage::

    from fedcoin.incentive import shapley

    estimate = shapley.estimate(utility, n=10, budget=500)

where ``utility`` takes coalitions as a bool array (m, n) and returns m numbers.
"""

from __future__ import annotations

import numpy as np

from fedcoin.data.errors import Refusal
from fedcoin.incentive import estimators
from fedcoin.incentive.errors import EvidenceCode
from fedcoin.incentive.estimators import Estimate, Estimator
from fedcoin.incentive.games import Game, Utility

METHODS: dict[str, Estimator] = {
    "exact": estimators.exact,
    "permutation": estimators.permutation,
    "antithetic": estimators.antithetic,
}
AUTO_EXACT_PLAYERS = 12
WALKS_BY_DEFAULT = 200


def estimate(
    utility: Utility, n: int, method: str = "auto", budget: int | None = None, seed: int = 0
) -> Estimate:
    """Estimate the Shapley values of ``n`` players.

    ``utility(coalitions)`` takes a bool array (m, n) and returns m finite numbers; it is asked for
    each coalition once. ``budget`` is the most distinct coalitions to evaluate, besides the empty
    and the grand one; without it, all of them where the method is exact, else those of 200 walks.
    ``method``: ``exact``, ``permutation``, ``antithetic``, or ``auto``: exact where all coalitions
    fit in the budget (without one: up to 12 players), else antithetic, or permutation where there
    is not even room for one pair. The same seed gives the same estimate.

    Raises ``Refusal`` BAD_METHOD, BAD_GAME or BAD_BUDGET.
    """
    if n < 1:
        raise Refusal(
            EvidenceCode.BAD_GAME, f"a game needs a player, not {n}", field="n", limit="1"
        )
    if method not in METHODS and method != "auto":
        raise Refusal(
            EvidenceCode.BAD_METHOD,
            f"method {method!r} is unknown: use auto, {', '.join(METHODS)}",
            field="method",
        )
    chosen = _choose(method, n, budget)
    if budget is None:
        budget = (1 << n) - 2 if chosen == "exact" else WALKS_BY_DEFAULT * n
    return METHODS[chosen](Game(utility, n), budget, np.random.default_rng(seed))


def _choose(method: str, n: int, budget: int | None) -> str:
    if n == 1:
        return "exact"
    if method != "auto":
        return method
    if budget is None:
        return "exact" if n <= AUTO_EXACT_PLAYERS else "antithetic"
    if n <= estimators.MAX_EXACT_PLAYERS and budget >= (1 << n) - 2:
        return "exact"
    return "antithetic" if budget >= 2 * (n - 1) else "permutation"
