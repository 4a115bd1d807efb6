"""`tolerance` ends an estimate once all intervals are narrow enough, within the budget."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from fedcoin import shapley
from fedcoin.data.errors import RefusalError
from fedcoin.shapley.errors import ShapleyCode

Coalitions = NDArray[np.bool_]
QUALITY = np.linspace(0.2, 1.0, 16)
SAMPLED = ["permutation", "antithetic", "truncated", "complementary", "kriging"]


def saturating(coalitions: Coalitions) -> NDArray[np.float64]:
    """Rise with the members' qualities, less and less; three players need each other."""
    together = coalitions[:, :3].all(axis=1)
    worth: NDArray[np.float64] = np.sqrt(coalitions @ QUALITY[: coalitions.shape[1]]) + together
    return worth


class Counted:
    """Counts how often each coalition is asked for."""

    def __init__(self) -> None:
        self.asked: list[bytes] = []

    def __call__(self, coalitions: Coalitions) -> NDArray[np.float64]:
        self.asked.extend(row.tobytes() for row in coalitions)
        return saturating(coalitions)


@pytest.mark.parametrize("method", [*SAMPLED, "auto"])
def test_a_narrower_interval_takes_more_evaluations(method: str) -> None:
    # The unit of the tolerance is the utility's, so that it says when the attempts end.
    wide, narrow = (
        shapley.estimate(saturating, 14, method, 3_000, tolerance=tolerance)
        for tolerance in (0.15, 0.05)
    )
    for estimate, tolerance in ((wide, 0.15), (narrow, 0.05)):
        assert estimate.is_within_tolerance
        assert 1.96 * estimate.std_errors.max() <= tolerance
    assert wide.evaluations <= narrow.evaluations < 3_000


LONG = {(14, 1_000), (16, 333), (16, 1_000)}
"""Players and budgets for which kriging solves a system of many equations at each attempt."""

BUDGETS = [
    pytest.param(
        method,
        n,
        budget,
        marks=[pytest.mark.slow] if method == "kriging" and (n, budget) in LONG else [],
    )
    for method in SAMPLED
    for n in (14, 16)
    for budget in (40, 150, 333, 1_000)
]


@pytest.mark.parametrize(("method", "n", "budget"), BUDGETS)
def test_all_attempts_together_keep_to_the_budget(method: str, n: int, budget: int) -> None:
    utility = Counted()
    estimate = shapley.estimate(utility, n, method, budget, tolerance=1e-12)
    assert estimate.is_within_tolerance is False
    assert len(utility.asked) == len(set(utility.asked))
    assert estimate.evaluations == len(utility.asked) - 2 <= budget
    assert estimate.values.sum() == pytest.approx(saturating(np.ones((1, n), np.bool_))[0])


@pytest.mark.parametrize(
    ("method", "n", "budget"),
    [
        ("complementary", 14, 300),
        ("complementary", 24, 450),
        ("kriging", 14, 300),
        pytest.param("kriging", 24, 450, marks=pytest.mark.slow),
    ],
)
def test_attempts_share_what_they_evaluate(method: str, n: int, budget: int) -> None:
    def utility(coalitions: Coalitions) -> NDArray[np.float64]:
        worth: NDArray[np.float64] = np.sqrt(coalitions @ np.linspace(0.2, 1.0, n))
        return worth + coalitions[:, :3].all(axis=1)

    with_attempts = shapley.estimate(utility, n, method, budget, tolerance=1e-12)
    at_once = shapley.estimate(utility, n, method, budget)
    np.testing.assert_allclose(with_attempts.std_errors.max(), at_once.std_errors.max(), rtol=0.25)


def test_auto_is_exact_only_where_nothing_else_suffices() -> None:
    sampled = shapley.estimate(saturating, 8, tolerance=0.05)
    exact = shapley.estimate(saturating, 8, tolerance=1e-9)
    assert (sampled.method, exact.method) == ("kriging", "exact")
    assert sampled.evaluations < exact.evaluations == 254
    assert exact.is_within_tolerance


def test_methods_that_are_not_repeated() -> None:
    exact = shapley.estimate(saturating, 6, "exact", tolerance=0.1)
    grouped = shapley.estimate(saturating, 6, "grouped", 5, tolerance=0.1)
    assert (exact.is_within_tolerance, grouped.is_within_tolerance) == (True, False)
    assert shapley.estimate(saturating, 1, tolerance=0.1).is_within_tolerance
    assert shapley.estimate(saturating, 6).is_within_tolerance is None


def test_named_players_have_equal_values_in_any_order() -> None:
    names = [f"client-{letter}" for letter in "kbxaqmzcydwe"]
    order = np.random.default_rng(2).permutation(len(names))
    weights = np.arange(1.0, 1 + len(names))

    def estimated(players: NDArray[np.int64]) -> shapley.Estimate:
        return shapley.estimate(
            lambda coalitions: np.sqrt(coalitions @ weights[players]),
            len(players),
            players=[names[player] for player in players],
            tolerance=0.02,
        )

    plain, moved = estimated(np.arange(len(names))), estimated(order)
    np.testing.assert_array_equal(moved.values, plain.values[order])
    assert moved.evaluations == plain.evaluations < 4094


@pytest.mark.parametrize("names", [None, [f"client-{letter}" for letter in "qzbmaxkcydweth"]])
def test_each_attempt_is_reported(names: list[str] | None) -> None:
    attempts: list[shapley.Estimate] = []
    estimate = shapley.estimate(
        saturating, 14, "complementary", players=names, tolerance=0.05, on_attempt=attempts.append
    )
    assert len(attempts) > 2
    assert [one.is_within_tolerance for one in attempts] == [False] * (len(attempts) - 1) + [True]
    counts = [one.evaluations for one in attempts]
    assert counts == sorted(set(counts))
    # The last one is the answer, in the caller's order of the players.
    assert attempts[-1].evaluations == estimate.evaluations
    np.testing.assert_array_equal(attempts[-1].values, estimate.values)
    np.testing.assert_array_equal(attempts[-1].std_errors, estimate.std_errors)


@pytest.mark.parametrize("tolerance", [0.0, -1.0, float("nan"), float("inf")])
def test_bad_tolerances_are_refused(tolerance: float) -> None:
    with pytest.raises(RefusalError, match="above 0") as refused:
        shapley.estimate(saturating, 5, tolerance=tolerance)
    assert refused.value.code is ShapleyCode.BAD_TOLERANCE
