"""Any finite game has finite values that add up, at any scale and with any constant."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from fedcoin import shapley
from fedcoin.data.errors import RefusalError
from fedcoin.shapley.errors import ShapleyCode

Bools = NDArray[np.bool_]
Floats = NDArray[np.float64]
SAMPLED = ["permutation", "antithetic", "truncated", "complementary", "kriging"]


def veto(coalitions: Bools) -> Floats:
    """Player 0 wins with any other player."""
    return (coalitions[:, 0] & coalitions[:, 1:].any(axis=1)).astype(np.float64)


def one_against_all(coalitions: Bools) -> Floats:
    """Player 0 wins with any other player, and all others win together."""
    return np.maximum(veto(coalitions), coalitions[:, 1:].all(axis=1))


def gloves(coalitions: Bools) -> Floats:
    """Count the pairs of a left glove, which a third of the players have, and a right one."""
    left = coalitions.shape[1] // 3
    pairs: Floats = np.minimum(coalitions[:, :left].sum(axis=1), coalitions[:, left:].sum(axis=1))
    return pairs.astype(np.float64)


def smooth(coalitions: Bools) -> Floats:
    """Return the root of a weighted sum, less an interaction."""
    weights = np.linspace(0.1, 1, coalitions.shape[1])
    return np.sqrt(coalitions @ weights) - 0.2 * coalitions[:, 0] * coalitions[:, -1]


@pytest.mark.parametrize("game", [veto, one_against_all, gloves])
@pytest.mark.parametrize(
    ("n", "budget"),
    [
        (10, 400),
        pytest.param(13, None, marks=pytest.mark.slow),
        (13, 600),
        (30, 400),
        pytest.param(100, 400, marks=pytest.mark.slow),
    ],
)
def test_veto_players_and_gloves(
    game: Callable[[Bools], Floats], n: int, budget: int | None
) -> None:
    estimate = shapley.estimate(game, n, budget=budget)
    total = float(game(np.ones((1, n), np.bool_))[0])
    assert estimate.values.sum() == pytest.approx(total, abs=1e-9)
    assert (np.abs(estimate.values) < 2 * total).all()
    assert np.isfinite(estimate.std_errors).all()


@pytest.mark.parametrize("n", [10, pytest.param(13, marks=pytest.mark.slow)])
def test_intervals_of_one_against_all(n: int) -> None:
    truth = np.full(n, 2 / (n * (n - 1)))
    truth[0] = 1 - 2 / n
    estimates = [shapley.estimate(one_against_all, n, budget=400, seed=seed) for seed in range(2)]
    covered = [np.abs(each.values - truth) <= 1.96 * each.std_errors for each in estimates]
    assert np.mean(covered) >= 0.9


@pytest.mark.parametrize("method", ["exact", *SAMPLED])
@pytest.mark.parametrize("exponent", [-1000, -500, 512, 1010])
def test_the_scale_changes_nothing_else(method: str, exponent: int) -> None:
    """Powers of two scale exactly."""
    budget = 254 if method == "exact" else 100
    plain = shapley.estimate(smooth, 8, method, budget)
    scaled = shapley.estimate(lambda c: np.ldexp(smooth(c), exponent), 8, method, budget)
    np.testing.assert_array_equal(scaled.values, np.ldexp(plain.values, exponent))
    np.testing.assert_array_equal(scaled.std_errors, np.ldexp(plain.std_errors, exponent))
    assert scaled.evaluations == plain.evaluations


@pytest.mark.parametrize("method", ["exact", *SAMPLED])
def test_utilities_that_outgrow_the_unit(method: str) -> None:
    def utility(coalitions: Bools) -> Floats:
        return np.where(coalitions.sum(axis=1) % 8 == 0, 0.0, 1e300 * smooth(coalitions))

    estimate = shapley.estimate(utility, 8, method, 254 if method == "exact" else 100)
    assert np.isfinite(estimate.values).all()
    assert abs(estimate.values.sum()) < 1e288


@pytest.mark.parametrize("method", ["exact", "grouped", *SAMPLED])
def test_values_that_float64_cannot_hold_are_refused(method: str) -> None:
    def utility(coalitions: Bools) -> Floats:
        return np.where(coalitions[:, 0], 1.7e308, -1.7e308)

    with pytest.raises(RefusalError, match="divide all utilities by 4") as refused:
        shapley.estimate(utility, 3, method, 6)
    assert refused.value.code is ShapleyCode.BAD_GAME
    quarter = shapley.estimate(lambda c: utility(c) / 4, 3, method, 6)
    assert np.isfinite(quarter.values).all()


@pytest.mark.parametrize("method", ["exact", *SAMPLED])
@pytest.mark.parametrize("constant", [1.0, -1e6, 1e9])
def test_a_constant_changes_nothing_but_rounding(method: str, constant: float) -> None:
    budget = 254 if method == "exact" else 120
    plain = shapley.estimate(smooth, 8, method, budget)
    moved = shapley.estimate(lambda c: smooth(c) + constant, 8, method, budget)
    truth = shapley.estimate(smooth, 8).values
    error = np.linalg.norm(plain.values - truth)
    assert np.linalg.norm(moved.values - plain.values) <= 0.01 * error + 1e-14 * abs(constant)


@pytest.mark.parametrize("n", [1, 2, 3, 40, pytest.param(1_500, marks=pytest.mark.slow)])
def test_auto_takes_any_budget(n: int) -> None:
    for budget in [1, 2, n - 2, n - 1, n, 2 * n, 2 * n + 8]:
        if budget < 1:
            continue
        estimate: Any = shapley.estimate(smooth, n, budget=budget)
        assert estimate.evaluations <= budget or n == 1
        total = float(smooth(np.ones((1, n), np.bool_))[0])
        assert estimate.values.sum() == pytest.approx(total)
