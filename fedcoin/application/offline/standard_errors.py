"""The standard error of a Shapley estimate while its coalitions are still being evaluated."""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from fedcoin import shapley
from fedcoin.data.errors import RefusalError
from fedcoin.learning.evaluation.job import Coalitions
from fedcoin.shapley.game import Game

Floats = npt.NDArray[np.float64]

UPDATE_SECONDS = 2.0
"""The time between two computations of the standard error, in seconds: with many clients one takes
a part of a second."""

_WALKING_METHODS = ("permutation", "antithetic", "truncated")


class StandardErrorTracker:
    """Computes the standard error that an estimator would report if it stopped now.

    Methods that walk along permutations evaluate the same coalitions whatever their budget is, only
    more of them with a larger one. So the estimate from the coalitions that have been evaluated is
    that of a smaller budget. The other methods choose their coalitions for the whole budget, so
    nothing can be said before they end.

    Args:
        method: The method's name in `shapley.METHODS`.
        budget: How many coalitions it may evaluate.
        seed: The seed of its random generator.
        num_clients: How many clients there are.
        recall: Takes coalitions, bool (m, n), and returns their utilities, float64 (m,); raises
            KeyError when one of them has not been evaluated.
        clock: A monotonic clock in seconds.
    """

    def __init__(
        self,
        method: str,
        budget: int,
        seed: int,
        num_clients: int,
        recall: Callable[[Coalitions], Floats],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._method = method
        self._budget = budget
        self._seed = seed
        self._num_clients = num_clients
        self._recall = recall
        self._clock = clock
        self._num_evaluated = 0
        self._latest: float | None = None
        self._next_update = clock() + UPDATE_SECONDS

    @property
    def num_evaluated(self) -> int:
        """How many coalitions have been evaluated."""
        return self._num_evaluated

    def add(self, num_coalitions: int) -> None:
        """Count coalitions that have been evaluated.

        Args:
            num_coalitions: How many; none of them was evaluated before.
        """
        self._num_evaluated += num_coalitions

    def latest(self) -> float | None:
        """Return the result of `compute`, at most `UPDATE_SECONDS` old.

        Returns:
            The largest standard error in the utility's unit; None when no estimate is possible, and
            until `UPDATE_SECONDS` after the start.
        """
        if self._clock() >= self._next_update:
            self._latest = self.compute()
            self._next_update = self._clock() + UPDATE_SECONDS
        return self._latest

    def compute(self) -> float | None:
        """Compute the largest of the clients' standard errors from what has been evaluated.

        Returns:
            The error in the utility's unit; None when the method or the number of coalitions does
            not allow an estimate.
        """
        if self._method not in _WALKING_METHODS:
            return None
        budget = min(self._budget, self._num_evaluated - 2)
        try:
            game = Game(self._recall, self._num_clients)
            rng = np.random.default_rng(self._seed)
            errors = shapley.METHODS[self._method](game, budget, rng).std_errors
        except (KeyError, RefusalError):  # the first walk, or a part of the present one, is missing
            return None
        largest = float(errors.max())
        return largest if largest < float("inf") else None
