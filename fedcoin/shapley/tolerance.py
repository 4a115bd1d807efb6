"""Estimate with growing budgets until every interval is as narrow as asked.

Each attempt has half as many evaluations again as the one before. All attempts share one memo and
one seed, so that most of what an attempt draws was evaluated before. An attempt that would need
more new coalitions than the budget allows is repeated with fewer.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

from fedcoin.data.errors import RefusalError
from fedcoin.shapley.array_types import Bools, Floats
from fedcoin.shapley.errors import ShapleyCode
from fedcoin.shapley.game import Utility
from fedcoin.shapley.recording import RecordedUtility
from fedcoin.shapley.result import Estimate

NORMAL_95 = 1.96
"""Half the width of a 95 % interval, in standard errors."""
_FIRST_EVALUATIONS = 8
"""Evaluations of the first attempt, for each player. Smaller samples say little about their own
errors. Set by hand."""
_GROWTH = 1.5
"""By how much the evaluations of each attempt exceed those of the one before. Set by hand: with a
smaller factor fewer coalitions are evaluated in vain, and more time goes into arithmetic."""
_MIN_REDUCTION = 0.02
"""The smallest part of an attempt's evaluations by which it is reduced when it needs too many."""


class _BudgetSpentError(Exception):
    """An attempt asked for `excess` more new coalitions than the budget allows."""

    def __init__(self, excess: int) -> None:
        super().__init__(f"{excess} coalitions more than the budget allows")
        self.excess = excess


def estimate_to_tolerance(
    run: Callable[[Utility, int], Estimate],
    utility: Utility,
    n: int,
    budget: int,
    tolerance: float,
    on_attempt: Callable[[Estimate], None] | None = None,
) -> Estimate:
    """Repeat an estimate with growing budgets until its 95 % intervals are narrow enough.

    Args:
        run: Takes a utility and a budget of coalitions, and estimates that game. It must be
            seeded in each call, so that attempts draw coalitions that were evaluated before.
        utility: Takes coalitions, bool (m, n), and returns m finite numbers. It is asked for each
            coalition once.
        n: Number of players.
        budget: The limit on distinct coalitions that all attempts together evaluate.
        tolerance: The largest half-width of an interval, 1.96 standard errors, in the utility's
            unit.
        on_attempt: Called after each attempt with its estimate, whose `evaluations` and
            `is_within_tolerance` are those of all attempts so far.

    Returns:
        The first estimate within the tolerance, or the last one. `evaluations` counts those of all
        attempts.

    Raises:
        RefusalError: What `run` raises; nothing is raised when the tolerance is not reached.
    """
    limited = _LimitedUtility(utility, budget)

    def finish(attempt: Estimate) -> Estimate:
        finished = replace(
            attempt,
            evaluations=limited.num_evaluated,
            is_within_tolerance=is_within(attempt, tolerance),
        )
        if on_attempt is not None:
            on_attempt(finished)
        return finished

    evaluations = min(budget, _FIRST_EVALUATIONS * n)
    estimated = finish(run(limited, evaluations))
    while not estimated.is_within_tolerance and evaluations < budget:
        smaller = evaluations
        evaluations = min(budget, math.ceil(_GROWTH * evaluations))
        wider = _run_within_budget(run, limited, evaluations, smaller)
        if wider is None:
            break
        estimated = finish(wider)
    # Attempts that did not fit into the budget may have evaluated coalitions, too.
    return replace(estimated, evaluations=limited.num_evaluated)


def require_tolerance(tolerance: float) -> None:
    """Refuse a tolerance that no interval can be compared with.

    Args:
        tolerance: The largest half-width of an interval, in the utility's unit.

    Raises:
        RefusalError: BAD_TOLERANCE when it is not a finite number above 0.
    """
    if not (math.isfinite(tolerance) and tolerance > 0):
        raise RefusalError(
            ShapleyCode.BAD_TOLERANCE,
            f"the tolerance is {tolerance}; it must be a finite number above 0, in the utility's "
            "unit",
            field="tolerance",
            limit="0",
        )


def is_within(estimate: Estimate, tolerance: float) -> bool:
    """Tell whether every player's 95 % interval is narrow enough.

    Args:
        estimate: An estimate with standard errors in the utility's unit.
        tolerance: The largest half-width, in the utility's unit.

    Returns:
        True when 1.96 standard errors are at most the tolerance for all players.
    """
    return bool((NORMAL_95 * estimate.std_errors <= tolerance).all())


def _run_within_budget(
    run: Callable[[Utility, int], Estimate],
    limited: _LimitedUtility,
    evaluations: int,
    smaller: int,
) -> Estimate | None:
    """Run with that many evaluations, or with fewer when too many of them are new.

    Returns None when no attempt with more than `smaller` evaluations fits into the budget.
    """
    while evaluations > smaller:
        try:
            return run(limited, evaluations)
        except _BudgetSpentError as error:
            evaluations -= max(error.excess, math.ceil(_MIN_REDUCTION * evaluations))
    return None


class _LimitedUtility:
    """A utility with a memo that refuses to evaluate more than a number of coalitions."""

    def __init__(self, utility: Utility, max_evaluations: int) -> None:
        self._recorded = RecordedUtility(utility)
        self._max_evaluations = max_evaluations
        self._evaluated: set[bytes] = set()

    @property
    def num_evaluated(self) -> int:
        """Distinct coalitions evaluated, not counting the empty and the grand one."""
        return len(self._evaluated)

    def __call__(self, coalitions: Bools) -> Floats:
        """Return the utilities of coalitions, or evaluate none when too many of them are new."""
        sizes = coalitions.sum(axis=1)
        counted = coalitions[(sizes > 0) & (sizes < coalitions.shape[1])]
        new = {row.tobytes() for row in counted} - self._evaluated
        excess = len(self._evaluated) + len(new) - self._max_evaluations
        if excess > 0:
            raise _BudgetSpentError(excess)
        utilities = self._recorded(coalitions)
        self._evaluated |= new
        return utilities
