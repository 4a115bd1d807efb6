"""Intervals of truncated walks hold with large budgets, too: the truncation's bias is corrected."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from fedcoin import shapley

QUALITY = np.linspace(0.1, 1.0, 16)


def mean_quality(coalitions: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Return an accuracy that rises with the mean quality of the members, not with their number."""
    members = np.maximum(coalitions.sum(axis=1), 1)
    accuracy: NDArray[np.float64] = 1 - np.exp(-3 * (coalitions @ QUALITY) / members)
    return accuracy


@pytest.mark.parametrize(
    "budget", [300, 1_000, 5_000, pytest.param(20_000, marks=pytest.mark.slow)]
)
def test_intervals_hold_at_every_budget(budget: int) -> None:
    truth = shapley.estimate(mean_quality, 16, "exact").values
    covered = []
    for seed in range(8):
        estimate = shapley.estimate(mean_quality, 16, "truncated", budget, seed)
        covered.append(np.abs(estimate.values - truth) <= 1.96 * estimate.std_errors)
    print(budget, np.mean(covered))
    assert np.mean(covered) >= 0.85
