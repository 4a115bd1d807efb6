"""What an estimator gives back."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from fedcoin.data.errors import RefusalError
from fedcoin.shapley.array_types import Floats
from fedcoin.shapley.errors import ShapleyCode
from fedcoin.shapley.game import Game


@dataclass(frozen=True, slots=True)
class Estimate:
    """Estimated Shapley values."""

    values: Floats
    """(n,), in the utility's unit; they add up to u(all) - u(empty)."""
    std_errors: Floats
    """(n,), one standard error: values -+ 1.96 of them are 95 % intervals. 0 when exact, infinite
    when there was too little to tell."""
    evaluations: int
    """Distinct coalitions evaluated, besides the empty and the grand one."""
    method: str
    """The estimator that was used."""


Estimator = Callable[[Game, int, np.random.Generator], Estimate]
"""Takes a game, a budget of distinct coalitions and a source of randomness."""


def need(budget: int, least: int, method: str) -> None:
    """Raise Refusal BAD_BUDGET for a budget below ``least`` evaluations."""
    if budget < least:
        raise RefusalError(
            ShapleyCode.BAD_BUDGET,
            f"method {method} needs a budget of at least {least} evaluations, not {budget}",
            field="budget",
            limit=str(least),
        )
