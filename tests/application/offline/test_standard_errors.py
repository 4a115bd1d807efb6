"""The standard error while an estimator still evaluates coalitions."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from fedcoin import shapley
from fedcoin.application.offline.standard_errors import StandardErrorTracker


@pytest.mark.parametrize("method", ["permutation", "antithetic", "truncated"])
def test_the_error_so_far_is_that_of_a_smaller_budget(method: str) -> None:
    """Asking for the error does not change the estimate."""
    n, worths = 8, np.random.default_rng(0).random(256)
    now = 0.0
    known: dict[bytes, float] = {}
    seen = []

    def recall(coalitions: NDArray[Any]) -> NDArray[Any]:
        return np.array([known[row.tobytes()] for row in coalitions])

    tracker = StandardErrorTracker(method, 200, 3, n, recall, lambda: now)

    def utility(coalitions: NDArray[Any]) -> NDArray[Any]:
        for row in coalitions:  # One by one.
            known[row.tobytes()] = worths[(row << np.arange(n)).sum()]
            tracker.add(1)
            seen.append((tracker.num_evaluated - 2, tracker.compute()))
        return recall(coalitions)

    shapley.estimate(utility, n, method, 200, 3)
    told = [(count, error) for count, error in seen if error is not None]
    assert len(told) > 20
    for count, error in told[:: len(told) // 5]:
        smaller = shapley.estimate(recall, n, method, count, 3)
        assert error == pytest.approx(smaller.std_errors.max())
    assert tracker.latest() is None
    now = 10.0
    assert tracker.latest() == tracker.compute()


def test_methods_that_plan_ahead_tell_no_error_before_the_end() -> None:
    tracker = StandardErrorTracker(
        "kriging", 100, 0, 4, lambda coalitions: np.ones(len(coalitions))
    )
    tracker.add(4)
    assert tracker.compute() is None
