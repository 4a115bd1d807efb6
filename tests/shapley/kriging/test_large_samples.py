"""Samples of more than 1,600 coalitions: games with strong interactions and known values."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from fedcoin import shapley
from tests.support.weighted_voting import (
    WeightedVote,
    electoral_college,
    european_council,
    security_council,
)


def test_the_known_values_are_those_of_small_games_and_of_the_security_council() -> None:
    vote = WeightedVote((4, 3, 3, 2, 1, 1), 8, 3)
    exact = shapley.estimate(vote.wins, 6, "exact").values
    np.testing.assert_allclose(vote.values(), exact)
    np.testing.assert_allclose(security_council().values(), np.array([421] * 5 + [4] * 10) / 2145)


@pytest.mark.parametrize("budget", [1_700, pytest.param(10_000, marks=pytest.mark.slow)])
def test_more_evaluations_do_not_bias_the_security_council(budget: int) -> None:
    vote = security_council()
    errors, covered = [], []
    for seed in range(2):
        estimate = shapley.estimate(vote.wins, 15, budget=budget, seed=seed)
        errors.append(np.abs(estimate.values - vote.values()))
        covered.append(errors[-1] <= 1.96 * estimate.std_errors)
    assert np.mean(errors, axis=0)[:5].mean() <= 0.02
    assert np.mean(covered) >= 0.65


@pytest.mark.parametrize("make", [european_council, electoral_college])
def test_councils_of_many_members(make: Callable[[], WeightedVote]) -> None:
    vote = make()
    estimate = shapley.estimate(vote.wins, len(vote.weights), budget=4_000)
    off = np.abs(estimate.values - vote.values())
    assert np.linalg.norm(off) <= 0.25 * np.linalg.norm(vote.values())
    assert np.mean(off <= 1.96 * estimate.std_errors) >= 0.85
