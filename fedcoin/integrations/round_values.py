"""The Shapley values of the clients of one round, in a framework's own process."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from fedcoin import shapley
from fedcoin.integrations.coalition_models import Arrays, CoalitionModels

NORMAL_QUANTILE_95: Final = 1.96
"""Half the width of a 95 % interval of a normal distribution, in standard errors."""


@dataclass(frozen=True, slots=True)
class RoundValues:
    """The values of one round's clients."""

    server_round: int
    """The round's number in the run, as the framework counts it."""
    clients: tuple[str, ...]
    """The clients' names, in order."""
    estimate: shapley.Estimate
    """Values and standard errors in the clients' order, in the utility's unit."""
    seconds: float
    """How long the valuation took, in seconds."""

    def metrics(self) -> dict[str, float]:
        """Return the values as metrics.

        Returns:
            For each client `shapley:NAME`, `shapley-low:NAME` and `shapley-high:NAME` (the ends of
            the 95 % interval); `shapley-evaluations` and `shapley-seconds`.
        """
        found: dict[str, float] = {}
        values, errors = self.estimate.values.tolist(), self.estimate.std_errors.tolist()
        for name, value, error in zip(self.clients, values, errors, strict=True):
            found[f"shapley:{name}"] = value
            found[f"shapley-low:{name}"] = value - NORMAL_QUANTILE_95 * error
            found[f"shapley-high:{name}"] = value + NORMAL_QUANTILE_95 * error
        found["shapley-evaluations"] = self.estimate.evaluations
        found["shapley-seconds"] = self.seconds
        return found


def value_round(
    number: int,
    names: Sequence[str],
    models: CoalitionModels,
    utility: Callable[[Arrays], float],
    *,
    seed: int,
    method: str = "auto",
    budget: int | None = None,
    tolerance: float | None = None,
) -> RoundValues:
    """Value the clients of a round.

    Args:
        number: The round's number.
        names: The clients' names, in the order of the models' updates.
        models: The models of the clients' coalitions.
        utility: Takes a model's arrays and returns what the model is worth, a finite number.
        seed: Seeds the choice of coalitions.
        method: As in `shapley.estimate`.
        budget: As in `shapley.estimate`.
        tolerance: As in `shapley.estimate`.

    Returns:
        The values.

    Raises:
        RefusalError: As in `shapley.estimate`, such as a budget that is too small.
    """
    began = time.monotonic()

    def evaluate(coalitions: npt.NDArray[np.bool_]) -> npt.NDArray[np.float64]:
        return np.array([float(utility(models.average(row))) for row in coalitions])

    estimate = shapley.estimate(
        evaluate, len(names), method, budget, seed, tolerance=tolerance, players=names
    )
    return RoundValues(number, tuple(names), estimate, time.monotonic() - began)


def add_round_values(rounds: Sequence[RoundValues]) -> dict[str, tuple[float, float]]:
    """Add the values of rounds, in which different clients may have taken part.

    Args:
        rounds: Each round's values by client; the players of one need not be those of another.

    Returns:
        For each client its value and standard error, in the utility's unit.
    """
    if not rounds:
        return {}
    names = list(dict.fromkeys(name for round in rounds for name in round.clients))
    players = [[names.index(name) for name in round.clients] for round in rounds]
    total = shapley.add_rounds([round.estimate for round in rounds], players=players)
    pairs = zip(total.values.tolist(), total.std_errors.tolist(), strict=True)
    return dict(zip(names, pairs, strict=True))
