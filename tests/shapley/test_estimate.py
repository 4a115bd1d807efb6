"""`shapley.estimate` on small games: accuracy, budgets, axioms and refusals, by every method."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from fedcoin import shapley
from fedcoin.data.errors import RefusalError
from fedcoin.shapley.errors import ShapleyCode
from tests.support.paths import MNIST_GAMES

Coalitions = NDArray[np.bool_]
SAMPLED = ["permutation", "antithetic", "truncated", "complementary", "kriging"]
LINEAR = ["exact", "permutation", "antithetic", "complementary"]
METHODS = ["exact", *SAMPLED, "auto"]
ROUND_1 = ["iid-1", "label-skew-1", "unequal-sizes-1", "label-noise-1", "feature-noise-1"]


def additive(worth: NDArray[np.float64]) -> Callable[[Coalitions], NDArray[np.float64]]:
    return lambda coalitions: 3.0 + coalitions @ worth


def root_game(coalitions: Coalitions) -> NDArray[np.float64]:
    worth = np.linspace(0.1, 1.0, coalitions.shape[1])
    return np.sqrt(coalitions @ worth) - 0.2 * coalitions[:, 0] * coalitions[:, -1]


def weighted_vote(weights: list[int], quota: int) -> Callable[[Coalitions], Any]:
    return lambda coalitions: (coalitions @ np.array(weights) >= quota).astype(float)


def test_un_security_council() -> None:
    # Shapley and Shubik (1954): 5 permanent members of 15, 9 votes and no veto.
    def passes(coalitions: Coalitions) -> NDArray[np.bool_]:
        return coalitions[:, :5].all(axis=1) & (coalitions.sum(axis=1) >= 9)

    estimate = shapley.estimate(passes, 15, "exact")
    np.testing.assert_allclose(estimate.values[:5], 421 / 2145)
    np.testing.assert_allclose(estimate.values[5:], 4 / 2145)


def test_a_college_with_weighted_votes() -> None:
    estimate = shapley.estimate(weighted_vote([4, 3, 2, 1], 6), 4)
    np.testing.assert_allclose(estimate.values, np.array([5, 3, 3, 1]) / 12)


def test_airport_and_glove_games() -> None:
    costs = np.array([1.0, 2.0, 3.0, 10.0])
    airport = shapley.estimate(lambda c: (c * costs).max(axis=1), 4)
    shares = np.cumsum(np.diff(costs, prepend=0) / np.arange(4, 0, -1))
    np.testing.assert_allclose(airport.values, shares)
    glove = shapley.estimate(lambda c: np.minimum(c[:, 0], c[:, 1] | c[:, 2]), 3)
    np.testing.assert_allclose(glove.values, [2 / 3, 1 / 6, 1 / 6])


@pytest.mark.parametrize("n", [1, 2, 16, 17, 64, 65, 500])
def test_additive_games_are_exact_by_every_method(n: int) -> None:
    worth = np.linspace(-1, 2, n, dtype=np.float64)
    methods = ["auto", *SAMPLED] + (["exact"] if n <= 17 else [])
    for method in methods:
        budget = None if method == "exact" else 4 * n + 8
        if method == "truncated":
            continue  # biased: it truncates walks
        estimate = shapley.estimate(additive(worth), n, method, budget)
        if method == "complementary" and n > 2:
            off = np.abs(estimate.values - worth)
            # Few pairs in many strata, whose spread is that of a random coalition's sum.
            assert (off <= 6 * np.sqrt(n) * np.abs(worth).max()).all()
            continue
        np.testing.assert_allclose(estimate.values, worth, atol=1e-8)
        if n > 1:
            assert np.nan_to_num(estimate.std_errors, posinf=0).max() < 1e-6


@pytest.mark.parametrize("method", METHODS)
def test_symmetric_null_and_dummy_players(method: str) -> None:
    def utility(coalitions: Coalitions) -> NDArray[np.float64]:
        # Players 0 and 1 are symmetric, player 2 adds nothing, player 3 always adds 2.
        return np.sqrt(coalitions[:, 0] + coalitions[:, 1]) + 2.0 * coalitions[:, 3]

    values = shapley.estimate(utility, 4, method, 14).values
    assert values[2] == pytest.approx(0, abs=1e-8)
    assert values[3] == pytest.approx(2)
    if method in ("exact", "auto", "complementary", "kriging"):
        assert values[0] == pytest.approx(values[1])


@pytest.mark.parametrize("method", METHODS)
@given(st.integers(1, 9), st.integers(0, 10**6))
@settings(max_examples=12, deadline=None)
def test_values_are_efficient_and_the_budget_holds(method: str, n: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    table = rng.normal(size=1 << n)
    evaluated: list[int] = []

    def utility(coalitions: Coalitions) -> NDArray[np.float64]:
        masks = coalitions @ (1 << np.arange(n))
        evaluated.extend(masks.tolist())
        return table[masks]

    budget = (1 << n) - 2 if method == "exact" else 4 * n + 8 + seed % 100
    estimate = shapley.estimate(utility, n, method, budget, seed)
    assert estimate.values.sum() == pytest.approx(table[-1] - table[0], abs=1e-9)
    assert len(evaluated) == len(set(evaluated))
    assert estimate.evaluations == len(evaluated) - 2 <= max(budget, 0)
    assert estimate.values.shape == estimate.std_errors.shape == (n,)


@pytest.mark.parametrize("method", METHODS)
def test_the_seed_determines_the_estimate(method: str) -> None:
    one, same, other = (
        shapley.estimate(root_game, 9, method, 510 if method == "exact" else 100, seed)
        for seed in (1, 1, 2)
    )
    assert (one.values == same.values).all()
    assert (one.values != other.values).any() == (method != "exact")


@pytest.mark.parametrize("method", ["permutation", "antithetic", "complementary"])
def test_errors_fall_with_the_budget(method: str) -> None:
    truth = shapley.estimate(root_game, 10).values
    errors = [
        np.median(
            [
                np.linalg.norm(shapley.estimate(root_game, 10, method, budget, s).values - truth)
                for s in range(15)
            ]
        )
        for budget in (40, 160, 640)
    ]
    assert errors[0] > 1.5 * errors[1] > 2.25 * errors[2]


@pytest.mark.parametrize("method", ["permutation", "antithetic", "complementary"])
def test_intervals_cover_the_truth(method: str) -> None:
    truth = shapley.estimate(root_game, 16, "exact").values
    covered = []
    for seed in range(25):
        estimate = shapley.estimate(root_game, 16, method, 8_000, seed)
        covered.append(np.abs(estimate.values - truth) <= 1.96 * estimate.std_errors)
    assert 0.9 <= np.mean(covered) <= 1


def test_auto_chooses_by_players_and_budget() -> None:
    assert shapley.estimate(root_game, 12).method == "exact"
    assert shapley.estimate(root_game, 13, budget=60).method == "kriging"
    assert shapley.estimate(root_game, 13, budget=(1 << 13) - 2).method == "exact"
    assert shapley.estimate(root_game, 12, budget=30).method == "antithetic"
    assert shapley.estimate(root_game, 12, budget=11).method == "permutation"
    assert shapley.estimate(root_game, 1, "permutation").method == "exact"


def trained(name: str) -> tuple[Callable[[Coalitions], NDArray[np.float64]], NDArray[np.float64]]:
    """Load a game trained on MNIST (scripts/tools/make_mnist_games.py) and its exact values."""
    with np.load(MNIST_GAMES) as tables:
        worth = tables[name] / 10_000
    utility = lambda coalitions: worth[coalitions @ (1 << np.arange(10))]  # noqa: E731
    return utility, shapley.estimate(utility, 10, "exact").values


@pytest.mark.parametrize("name", ROUND_1)
def test_trained_games_are_estimated_well_from_a_fifth_of_the_coalitions(name: str) -> None:
    utility, truth = trained(name)

    def error(method: str) -> float:
        estimates = [shapley.estimate(utility, 10, method, 200, seed) for seed in range(3)]
        errors = [np.linalg.norm(estimate.values - truth) for estimate in estimates]
        assert all(estimate.evaluations <= 200 for estimate in estimates)
        return float(np.median(errors) / np.linalg.norm(truth))

    auto = error("auto")
    assert auto <= 7e-3
    assert 5 * auto <= error("truncated")


def test_games_of_pairs_or_of_sizes_alone_are_recognised() -> None:
    rng = np.random.default_rng(2)
    pairs = rng.normal(size=(12, 12))
    together = lambda c: np.einsum("mi,ij,mj->m", c.astype(float), pairs, c.astype(float))  # noqa: E731
    majority = lambda c: (c.sum(axis=1) > 6).astype(float)  # noqa: E731
    for utility in (together, majority):
        truth = shapley.estimate(utility, 12, "exact").values
        estimate = shapley.estimate(utility, 12, "kriging", 150)
        np.testing.assert_allclose(estimate.values, truth, atol=1e-7)


@pytest.mark.parametrize("method", LINEAR)
def test_values_are_linear(method: str) -> None:
    tables = np.random.default_rng(3).normal(size=(2, 1 << 8))
    tables = np.vstack([tables, 2 * tables[0] - 3 * tables[1]])

    def estimated(table: NDArray[np.float64]) -> NDArray[np.float64]:
        return shapley.estimate(lambda c: table[c @ (1 << np.arange(8))], 8, method, 254).values

    one, two, both = map(estimated, tables)
    np.testing.assert_allclose(2 * one - 3 * two, both, atol=1e-9)


@pytest.mark.parametrize("method", ["complementary", "kriging"])
def test_evaluating_every_coalition_is_exact(method: str) -> None:
    table = np.random.default_rng(4).normal(size=1 << 7)
    utility = lambda c: table[c @ (1 << np.arange(7))]  # noqa: E731
    estimate = shapley.estimate(utility, 7, method, 126)
    np.testing.assert_allclose(estimate.values, shapley.estimate(utility, 7).values, atol=1e-6)
    assert estimate.evaluations == 126


def test_many_unequal_players() -> None:
    worth = np.linspace(0, 1, 60)

    def utility(coalitions: Coalitions) -> NDArray[np.float64]:
        # A function of the members' mean, like the accuracy of averaged weights.
        mean = coalitions @ worth / np.maximum(coalitions.sum(axis=1), 1)
        return np.tanh(mean)

    near = shapley.estimate(utility, 60, "kriging", 1_500, 1).values
    estimate = shapley.estimate(utility, 60, "kriging", 500).values
    walks = shapley.estimate(utility, 60, "permutation", 500).values
    assert 2 * np.linalg.norm(estimate - near) < np.linalg.norm(walks - near)


def test_one_sample_has_no_standard_error() -> None:
    assert np.isinf(shapley.estimate(root_game, 12, "permutation", 11).std_errors).all()


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        ({"n": 0}, ShapleyCode.BAD_GAME),
        ({"n": 21, "method": "exact"}, ShapleyCode.BAD_GAME),
        ({"n": 4, "method": "magic"}, ShapleyCode.BAD_METHOD),
        ({"n": 4, "method": "exact", "budget": 13}, ShapleyCode.BAD_BUDGET),
        ({"n": 4, "method": "permutation", "budget": 2}, ShapleyCode.BAD_BUDGET),
        ({"n": 4, "method": "antithetic", "budget": 5}, ShapleyCode.BAD_BUDGET),
        ({"n": 6, "method": "truncated", "budget": 4}, ShapleyCode.BAD_BUDGET),
        ({"n": 6, "method": "complementary", "budget": 11}, ShapleyCode.BAD_BUDGET),
        ({"n": 6, "method": "kriging", "budget": 19}, ShapleyCode.BAD_BUDGET),
        ({"n": 4, "budget": -1}, ShapleyCode.BAD_BUDGET),
    ],
)
def test_impossible_arguments_are_refused(arguments: dict[str, Any], code: ShapleyCode) -> None:
    with pytest.raises(RefusalError) as refused:
        shapley.estimate(root_game, **arguments)
    assert refused.value.code is code


@pytest.mark.parametrize(
    "answer",
    [
        lambda c: np.full(len(c), math.nan),
        lambda c: np.full(len(c), math.inf),
        lambda c: np.zeros(len(c) + 1),
        lambda c: np.zeros((len(c), 1)),
        lambda c: 0.0,
    ],
)
def test_utilities_that_do_not_return_finite_numbers_are_refused(
    answer: Callable[[Coalitions], Any],
) -> None:
    with pytest.raises(RefusalError) as refused:
        shapley.estimate(answer, 3)
    assert refused.value.code is ShapleyCode.BAD_GAME
