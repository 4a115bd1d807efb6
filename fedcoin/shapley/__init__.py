"""Estimate Shapley values of any cooperative game; needs NumPy alone.

The package decides which coalitions to evaluate and what they say about the players' values and
the errors of these. It does not know what a player or a utility is: it calls the caller's function
with coalitions and gets one number for each. Nothing in it knows a chain, a model or a file.

```python
from fedcoin import shapley

estimate = shapley.estimate(utility, n=10, budget=200)
```

`utility` takes coalitions as a bool array (m, n) and returns m numbers. docs/SHAPLEY.md is the
manual.

* `exact`, `walks` (permutation, antithetic), `truncated`, `complementary`, `kriging` and `grouped`:
  the methods. Each is a function of a `Game`, a budget and a random generator.
* `game`: asks the utility for each coalition once and counts.
* `result`: the estimate; `std_errors`: errors from few samples; `strata`: coalitions drawn by size.
* `tolerance`: attempts with growing budgets until the intervals are narrow enough.
* `recording`, `semivalues`: leave-one-out, Banzhaf and Beta-Shapley values from what an estimate
  evaluated.
* `rounds`: values over several rounds; `tables`: values to CSV and pandas.
* `array_types`, `errors`: types and codes.

Notation of this package: N is the set of all n players, S a coalition of s players, u(S) its
worth, and

    phi_i = sum over S without i of  s! (n - 1 - s)! / n!  (u(S with i) - u(S))

the Shapley value of player i (Shapley, "A value for n-person games", 1953).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from fedcoin.data.errors import RefusalError
from fedcoin.shapley.complementary import estimate_complementary
from fedcoin.shapley.errors import ShapleyCode
from fedcoin.shapley.exact import MAX_EXACT_PLAYERS, estimate_exact
from fedcoin.shapley.game import Game, UnitError, Utility
from fedcoin.shapley.grouped import estimate_grouped
from fedcoin.shapley.kriging.estimator import estimate_kriging
from fedcoin.shapley.kriging.sampling_design import min_kriging_budget
from fedcoin.shapley.recording import Evaluations, RecordedUtility
from fedcoin.shapley.result import Estimate, Estimator
from fedcoin.shapley.rounds import RoundSum, add_rounds
from fedcoin.shapley.semivalues.semivalue_estimates import (
    SemivalueEstimate,
    compute_leave_one_out,
    estimate_banzhaf,
    estimate_beta_shapley,
)
from fedcoin.shapley.tables import to_pandas, write_csv
from fedcoin.shapley.tolerance import estimate_to_tolerance, is_within, require_tolerance
from fedcoin.shapley.truncated import estimate_truncated
from fedcoin.shapley.walks import estimate_antithetic, estimate_permutation

__all__ = [
    "METHODS",
    "Estimate",
    "Evaluations",
    "RecordedUtility",
    "RoundSum",
    "SemivalueEstimate",
    "add_rounds",
    "compute_leave_one_out",
    "estimate",
    "estimate_banzhaf",
    "estimate_beta_shapley",
    "plan",
    "to_pandas",
    "write_csv",
]

METHODS: dict[str, Estimator] = {
    "exact": estimate_exact,
    "permutation": estimate_permutation,
    "antithetic": estimate_antithetic,
    "truncated": estimate_truncated,
    "complementary": estimate_complementary,
    "kriging": estimate_kriging,
    "grouped": estimate_grouped,
}
"""The estimators by name. `estimate` also takes the name `auto`."""

_SINGLE_ATTEMPT = ("exact", "grouped")
"""Methods whose errors do not fall step by step with the budget: they are not repeated."""
_AUTO_EXACT_PLAYERS = 12
"""The largest number of players for which `auto` without a budget evaluates every coalition."""
_DEFAULT_WALKS = 200
"""The default budget of methods that sample, in walks of n coalitions each."""


def estimate(
    utility: Utility,
    n: int,
    method: str = "auto",
    budget: int | None = None,
    seed: int = 0,
    players: Sequence[str] | None = None,
    tolerance: float | None = None,
    on_attempt: Callable[[Estimate], None] | None = None,
) -> Estimate:
    """Estimate the Shapley values of a game.

    Args:
        utility: Takes coalitions, bool (m, n) with true for members, and returns m finite numbers.
            It is asked for each coalition once.
        n: Number of players, at least 1.
        method: A key of `METHODS`, or `auto`: exact when all coalitions fit into the budget
            (without a budget: up to 12 players), otherwise kriging, or walks when the budget is
            too small for kriging, or grouped when it is too small for one walk.
        budget: The limit on distinct coalitions to evaluate, without the empty and the grand one.
            Without it: all coalitions for `exact`, otherwise 200 n.
        seed: Seed of the random generator. Equal arguments give equal estimates.
        players: Names of the n players, all different. With names, the random choices depend on
            them and not on the players' order: in another order each player has the same value, but
            for the rounding of the utility. Without names, they depend on the order.
        tolerance: Half the width, in the utility's unit, of the widest 95 % interval to accept. The
            estimate is repeated with more and more evaluations, which `utility` is asked for once,
            until all intervals are as narrow or the budget is spent. Then `auto` is exact only
            where nothing else is within the tolerance. The methods `exact` and `grouped` are
            not repeated.
        on_attempt: Called with each of these estimates, in the caller's thread. Without a tolerance
            it is not called.

    Returns:
        The values with their standard errors.

    Raises:
        RefusalError: BAD_METHOD when the method is unknown; BAD_GAME when there is no player, when
            there are too many for the method, when the names are not n different ones, or when the
            utility does not answer with m finite numbers, or when a value is larger than float64
            holds; BAD_BUDGET when the method needs more evaluations; BAD_TOLERANCE when the
            tolerance is not a finite number above 0.
    """
    chosen, max_evaluations = plan(n, method, budget)
    if tolerance is not None:
        require_tolerance(tolerance)
    if players is not None:
        return _estimate_by_name(
            utility, players, n, method, max_evaluations, seed,
            tolerance=tolerance, on_attempt=on_attempt,
        )  # fmt: skip
    if tolerance is None:
        return _estimate_once(utility, n, chosen, max_evaluations, seed)

    def run(limited: Utility, evaluations: int) -> Estimate:
        attempted, _ = plan(n, method, evaluations)
        return _estimate_once(limited, n, attempted, evaluations, seed)

    if method in _SINGLE_ATTEMPT:
        estimated = run(utility, max_evaluations)
        return replace(estimated, is_within_tolerance=is_within(estimated, tolerance))
    return estimate_to_tolerance(run, utility, n, max_evaluations, tolerance, on_attempt)


def _estimate_once(utility: Utility, n: int, method: str, budget: int, seed: int) -> Estimate:
    """Estimate with one method and one budget."""
    game = Game(utility, n)
    while True:
        try:
            estimated = METHODS[method](game, budget, np.random.default_rng(seed))
        except UnitError:
            estimated = None
        fitting = game.in_fitting_unit()
        if estimated is not None and fitting is game:
            return estimated.in_unit(game.exponent)
        # The unit changes no choice of coalitions: the memo knows those of the first attempt.
        game = fitting


def _estimate_by_name(
    utility: Utility,
    players: Sequence[str],
    n: int,
    method: str,
    budget: int,
    seed: int,
    *,
    tolerance: float | None,
    on_attempt: Callable[[Estimate], None] | None,
) -> Estimate:
    """Estimate with the players in the order of their names, and return the caller's order."""
    if len(players) != n or len(set(players)) != n:
        raise RefusalError(
            ShapleyCode.BAD_GAME,
            f"{len(players)} names, {len(set(players))} of them different, are given for {n}"
            " players; give each player a name of its own",
            field="players",
            limit=str(n),
        )
    by_name = sorted(range(n), key=lambda player: players[player])
    position = np.argsort(by_name)

    def in_callers_order(found: Estimate) -> Estimate:
        return replace(found, values=found.values[position], std_errors=found.std_errors[position])

    def report(attempt: Estimate) -> None:
        if on_attempt is not None:
            on_attempt(in_callers_order(attempt))

    return in_callers_order(
        estimate(
            lambda coalitions: utility(coalitions[:, position]),
            n,
            method,
            budget,
            seed,
            tolerance=tolerance,
            on_attempt=report,
        )
    )


def plan(n: int, method: str = "auto", budget: int | None = None) -> tuple[str, int]:
    """Tell which method `estimate` would use, and how many coalitions it would evaluate at most.

    Args:
        n: Number of players, at least 1.
        method: A key of `METHODS`, or `auto`.
        budget: The limit on distinct coalitions to evaluate, or None.

    Returns:
        The key of `METHODS`, and the largest number of evaluations, not counting the empty and
        the grand coalition.

    Raises:
        RefusalError: BAD_GAME when there is no player, BAD_METHOD when the method is unknown.
    """
    if n < 1:
        raise RefusalError(
            ShapleyCode.BAD_GAME, f"a game needs at least 1 player, not {n}", field="n", limit="1"
        )
    if method not in METHODS and method != "auto":
        raise RefusalError(
            ShapleyCode.BAD_METHOD,
            f"method {method!r} is unknown: use auto, {', '.join(METHODS)}",
            field="method",
        )
    chosen = _choose(method, n, budget)
    if budget is None:
        budget = (1 << n) - 2 if chosen == "exact" else _DEFAULT_WALKS * n
    return chosen, budget


def _choose(method: str, n: int, budget: int | None) -> str:
    if n == 1:
        return "exact"
    if method != "auto":
        return method
    if budget is None:
        return "exact" if n <= _AUTO_EXACT_PLAYERS else "kriging"
    smallest_budgets = {
        "exact": (1 << n) - 2 if n <= MAX_EXACT_PLAYERS else budget + 1,
        "kriging": min_kriging_budget(n),
        "antithetic": 2 * (n - 1),
        "permutation": n - 1,
    }
    able = (name for name, smallest in smallest_budgets.items() if budget >= smallest)
    return next(able, "grouped")
