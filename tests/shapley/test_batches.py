"""Utilities are asked for many coalitions at once, whatever the method has to know before."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from fedcoin import shapley
from fedcoin.shapley.game import Game

Coalitions = NDArray[np.bool_]
Floats = NDArray[np.float64]
ENDS = 2
"""The first call asks for the empty and the grand coalition."""


class CallSizes:
    """A utility that remembers for how many coalitions it was asked in each call."""

    def __init__(self) -> None:
        self.sizes: list[int] = []

    def __call__(self, coalitions: Coalitions) -> Floats:
        self.sizes.append(len(coalitions))
        return np.sqrt(coalitions @ np.linspace(0.1, 1.0, coalitions.shape[1]))


@pytest.mark.parametrize(
    ("method", "n", "budget", "calls"),
    [
        # Two stages: the first one's answers decide where the second one goes.
        ("kriging", 10, 400, [84, 316]),
        ("kriging", 51, 1_000, [500, 500]),
        ("complementary", 51, 1_000, [1_000]),
    ],
)
def test_each_stage_is_one_call(method: str, n: int, budget: int, calls: list[int]) -> None:
    utility = CallSizes()
    estimate = shapley.estimate(utility, n, method, budget)
    assert utility.sizes == [ENDS, *calls]
    assert estimate.evaluations == budget


def test_a_tolerance_asks_twice_in_each_attempt() -> None:
    utility, attempts = CallSizes(), list[shapley.Estimate]()
    shapley.estimate(utility, 12, "kriging", 300, tolerance=1e-6, on_attempt=attempts.append)
    assert len(attempts) > 1
    assert len(utility.sizes) <= 1 + 2 * len(attempts)


def test_a_call_is_bounded() -> None:
    utility = CallSizes()
    strata = [np.eye(20_000, 200, dtype=np.bool_), np.zeros((3, 200), np.bool_)]
    worths = Game(utility, 200).pair_values(strata)
    assert max(utility.sizes) <= 2 * 8_192
    assert [worth.shape for worth in worths] == [(2, 20_000), (2, 3)]
    expected = np.sqrt(np.linspace(0.1, 1.0, 200))
    np.testing.assert_allclose(worths[0][0][:200], expected)
    assert not worths[1][0].any()


def test_nothing_is_asked_without_strata() -> None:
    utility = CallSizes()
    assert Game(utility, 1).pair_values([]) == []
    assert utility.sizes == [ENDS]
