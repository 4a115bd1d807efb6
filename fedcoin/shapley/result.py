"""The result of an estimator, and the signature that all estimators have."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from fedcoin.data.errors import RefusalError
from fedcoin.shapley.array_types import Floats
from fedcoin.shapley.errors import ShapleyCode
from fedcoin.shapley.game import Game


@dataclass(frozen=True, slots=True)
class Estimate:
    """Estimated Shapley values of one game."""

    values: Floats
    """(n,), in the utility's unit; they add up to u(all players) - u(no player)."""
    std_errors: Floats
    """(n,), one standard error each, in the utility's unit: `values` plus and minus 1.96 of them
    is a 95 % interval for each player. 0 when the values are exact, infinite when the sample is
    too small to estimate them."""
    evaluations: int
    """Number of distinct coalitions evaluated, not counting the empty and the grand one."""
    method: str
    """Name of the estimator that was used."""
    is_within_tolerance: bool | None = None
    """Whether every 95 % interval is as narrow as the tolerance asks; None without a tolerance."""

    def in_unit(self, exponent: int) -> Estimate:
        """Convert values and errors from a unit of 2^exponent to the utility's unit.

        Args:
            exponent: The exponent e of the unit 2^e in which the values are.

        Returns:
            The estimate with values and errors multiplied by 2^exponent.

        Raises:
            RefusalError: BAD_GAME when a value is larger than float64 holds.
        """
        if exponent == 0:
            return self
        with np.errstate(over="ignore"):
            values, errors = np.ldexp(self.values, exponent), np.ldexp(self.std_errors, exponent)
        if not np.isfinite(values).all():
            largest = float(np.finfo(np.float64).max)
            raise RefusalError(
                ShapleyCode.BAD_GAME,
                f"a value is above {largest:.3g}, the largest number that float64 holds, because "
                "utilities differ by more than that; divide all utilities by 4",
                field="utility",
                limit=f"{largest:.3g}",
            )
        return replace(self, values=values, std_errors=errors)


Estimator = Callable[[Game, int, np.random.Generator], Estimate]
"""Takes a game, a budget (the limit on distinct coalitions to evaluate, not counting the empty and
the grand one) and a random generator."""


def require_budget(budget: int, min_budget: int, method: str) -> None:
    """Refuse a budget that is too small for a method.

    Args:
        budget: The largest number of distinct coalitions to evaluate.
        min_budget: The smallest budget with which the method works.
        method: The method's name, for the refusal.

    Raises:
        RefusalError: BAD_BUDGET when `budget` is below `min_budget`.
    """
    if budget < min_budget:
        raise RefusalError(
            ShapleyCode.BAD_BUDGET,
            f"method {method} needs a budget of at least {min_budget} evaluations, not {budget}",
            field="budget",
            limit=str(min_budget),
        )
