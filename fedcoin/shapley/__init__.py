"""Shapley values of any game, without a chain.

Usage::

    from fedcoin import shapley

    estimate = shapley.estimate(utility, n=10, budget=200)

where ``utility`` takes coalitions as a bool array (m, n) and returns m numbers.

``games`` asks for each coalition once and counts. The methods: ``exact``; ``walks`` along orders
(permutation, antithetic) and ``truncated`` ones; ``complementary`` contributions; ``surrogate``
(kriging), which stands on ``prior``, ``zonal`` and ``covariances`` (what a game is likely to be),
``reml`` (learning that from the sample), ``kriging`` (what the sample says of the values) and
``correction`` (what that gets wrong). ``first_order`` stands in for it in large samples;
``sampling`` draws coalitions.
"""

from __future__ import annotations

import numpy as np

from fedcoin.data.errors import RefusalError
from fedcoin.shapley import walks
from fedcoin.shapley.complementary import complementary
from fedcoin.shapley.errors import ShapleyCode
from fedcoin.shapley.exact import MAX_EXACT_PLAYERS, exact
from fedcoin.shapley.game import Game, Utility
from fedcoin.shapley.kriging import estimator
from fedcoin.shapley.result import Estimate, Estimator
from fedcoin.shapley.truncated import truncated

__all__ = ["METHODS", "Estimate", "estimate", "plan"]

METHODS: dict[str, Estimator] = {
    "exact": exact,
    "permutation": walks.permutation,
    "antithetic": walks.antithetic,
    "truncated": truncated,
    "complementary": complementary,
    "kriging": estimator.kriging,
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
    ``method`` is one of ``METHODS``, or ``auto``: exact where all coalitions fit in the budget
    (without one: up to 12 players), else kriging, or walks where the budget is too small for that.
    The same seed gives the same estimate.

    Raises ``Refusal`` BAD_METHOD, BAD_GAME or BAD_BUDGET.
    """
    chosen, most = plan(n, method, budget)
    return METHODS[chosen](Game(utility, n), most, np.random.default_rng(seed))


def plan(n: int, method: str = "auto", budget: int | None = None) -> tuple[str, int]:
    """The method that ``estimate`` would use, and the most coalitions that it would evaluate.

    Raises ``Refusal`` BAD_METHOD or BAD_GAME.
    """
    if n < 1:
        raise RefusalError(
            ShapleyCode.BAD_GAME, f"a game needs a player, not {n}", field="n", limit="1"
        )
    if method not in METHODS and method != "auto":
        raise RefusalError(
            ShapleyCode.BAD_METHOD,
            f"method {method!r} is unknown: use auto, {', '.join(METHODS)}",
            field="method",
        )
    chosen = _choose(method, n, budget)
    if budget is None:
        budget = (1 << n) - 2 if chosen == "exact" else WALKS_BY_DEFAULT * n
    return chosen, budget


def _choose(method: str, n: int, budget: int | None) -> str:
    if n == 1:
        return "exact"
    if method != "auto":
        return method
    if budget is None:
        return "exact" if n <= AUTO_EXACT_PLAYERS else "kriging"
    if n <= MAX_EXACT_PLAYERS and budget >= (1 << n) - 2:
        return "exact"
    if budget >= estimator.least_budget(n):
        return "kriging"
    return "antithetic" if budget >= 2 * (n - 1) else "permutation"
