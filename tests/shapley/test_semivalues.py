"""Leave-one-out, Banzhaf and Beta-Shapley values: exact on known games, intervals that cover."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial

import numpy as np
import pytest
from numpy.typing import NDArray

from fedcoin import shapley
from fedcoin.data.errors import RefusalError
from fedcoin.shapley.errors import ShapleyCode
from tests.shapley.test_intervals import CASES, load_game
from tests.support.weighted_voting import european_council, security_council

Bools = NDArray[np.bool_]
Floats = NDArray[np.float64]
Estimator = Callable[[shapley.RecordedUtility], shapley.SemivalueEstimate]

UNIFORM_METHODS = ["permutation", "antithetic", "complementary", "kriging"]
"""The methods that draw the coalitions of each size at random."""


def record(
    utility: Callable[[Bools], Floats],
    n: int,
    method: str,
    budget: int | None = None,
    seed: int = 0,
) -> shapley.RecordedUtility:
    recorded = shapley.RecordedUtility(utility)
    shapley.estimate(recorded, n, method, budget, seed)
    return recorded


def beta_4_1(recorded: shapley.RecordedUtility) -> shapley.SemivalueEstimate:
    return shapley.estimate_beta_shapley(recorded, 4, 1)


def compute_by_definition(utility: Callable[[Bools], Floats], n: int, weights: Floats) -> Floats:
    """Average what each player adds, over all coalitions of the others of each size."""
    masks = (np.arange(1 << n)[:, None] >> np.arange(n)) & 1 == 1
    worth = utility(masks)
    values = np.zeros(n)
    for player in range(n):
        without = np.flatnonzero(~masks[:, player])
        gains = worth[without | (1 << player)] - worth[without]
        sizes = masks[without].sum(axis=1)
        values[player] = sum(weights[s] * gains[sizes == s].mean() for s in range(n))
    return values


def banzhaf_weights(n: int) -> Floats:
    return np.array([math.comb(n - 1, s) / 2 ** (n - 1) for s in range(n)])


def beta_4_1_weights(n: int) -> Floats:
    """Kwon and Zou's weights for whole numbers: products, without gamma functions."""

    def beta(a: int, b: int) -> float:
        return math.factorial(a - 1) * math.factorial(b - 1) / math.factorial(a + b - 1)

    return np.array(
        [math.comb(n - 1, s) * beta(s + 1, n - 1 - s + 4) / beta(4, 1) for s in range(n)]
    )


def test_banzhaf_values_of_a_vote_by_generating_functions() -> None:
    vote = security_council()
    recorded = record(vote.wins, 15, "exact")
    found = shapley.estimate_banzhaf(recorded)
    np.testing.assert_allclose(found.values, vote.banzhaf_values(), atol=1e-12)
    # Permanent members 848 swings, others 84, of 2^14 coalitions of the other members.
    np.testing.assert_allclose(found.values[[0, 14]], np.array([848, 84]) / 2**14, atol=1e-12)
    assert (found.std_errors == 0).all()
    assert (found.kind, found.evaluations) == ("banzhaf", 2**15 - 2)


@pytest.mark.parametrize("n", [1, 2, 3, 7])
def test_exact_tables_give_what_the_definitions_say(n: int) -> None:
    table = 1e6 + np.random.default_rng(n).normal(size=1 << n)
    utility = lambda c: table[c @ (1 << np.arange(n))]  # noqa: E731
    recorded = record(utility, n, "exact")
    cases: list[tuple[Estimator, Floats]] = [
        (shapley.estimate_banzhaf, banzhaf_weights(n)),
        (beta_4_1, beta_4_1_weights(n)),
        (shapley.compute_leave_one_out, np.eye(n)[n - 1]),
        (lambda r: shapley.estimate_beta_shapley(r, 1, 1), np.full(n, 1 / n)),
    ]
    for estimator, weights in cases:
        found = estimator(recorded)
        expected = compute_by_definition(utility, n, weights)
        np.testing.assert_allclose(found.values, expected, atol=1e-8)
        assert (found.std_errors == 0).all()
    assert len(recorded.evaluations().utilities) == 1 << n


def test_beta_1_1_gives_shapley_values() -> None:
    recorded = shapley.RecordedUtility(security_council().wins)
    exact = shapley.estimate(recorded, 15, "exact")
    found = shapley.estimate_beta_shapley(recorded, 1, 1)
    np.testing.assert_allclose(found.values, exact.values, atol=1e-12)


def test_leave_one_out_asks_for_what_is_missing_only() -> None:
    asked = []

    def utility(coalitions: Bools) -> Floats:
        asked.append(len(coalitions))
        return np.sqrt(coalitions @ np.arange(1.0, 31.0))

    recorded = record(utility, 30, "permutation", 29 * 2)
    before = sum(asked)
    found = shapley.compute_leave_one_out(recorded)
    # Two walks end with two coalitions of 29 players.
    assert sum(asked) - before == 28
    total = 30 * 31 / 2
    expected = np.sqrt(total) - np.sqrt(total - np.arange(1, 31))
    np.testing.assert_allclose(found.values, expected, atol=1e-12)
    assert found.evaluations == sum(asked) - 2


@pytest.mark.parametrize("method", UNIFORM_METHODS)
def test_additive_games_are_nearly_exact_from_a_sample(method: str) -> None:
    worth = np.linspace(-1, 2, 40)
    recorded = record(lambda c: 5 + c @ worth, 40, method, 2_000)
    for estimator in (shapley.estimate_banzhaf, beta_4_1):
        found = estimator(recorded)
        # The sizes' levels are estimated from samples, too, and one error is common to all players.
        assert np.abs(found.values - worth).max() < 0.1
        assert (np.abs(found.values - worth) <= 5 * found.std_errors).all()


@pytest.mark.parametrize("method", UNIFORM_METHODS)
def test_a_vote_of_27_members_from_a_sample(method: str) -> None:
    vote = european_council()
    recorded = record(vote.wins, 27, method, 4_000, seed=3)
    found = shapley.estimate_banzhaf(recorded)
    errors = (found.values - vote.banzhaf_values()) / found.std_errors
    assert np.abs(errors).max() < 4.5
    assert found.std_errors.max() < 0.1


def measure_coverage(method: str, estimator: Estimator, weights: Floats, seeds: int) -> Floats:
    """Return the fraction of intervals that cover the exact value, for each game."""
    coverage = []
    for name, budget in CASES:
        game = load_game(name)
        exact = compute_by_definition(game.utility, 10, weights)
        covered = []
        for seed in range(seeds):
            found = estimator(record(game.utility, 10, method, budget, seed))
            covered.append(np.abs(found.values - exact) <= 1.96 * found.std_errors + 1e-12)
        coverage.append(np.mean(covered))
    return np.array(coverage)


KINDS = [
    pytest.param(shapley.estimate_banzhaf, banzhaf_weights(10), id="banzhaf"),
    pytest.param(beta_4_1, beta_4_1_weights(10), id="beta"),
]


@pytest.mark.parametrize("method", ["permutation", "complementary"])
@pytest.mark.parametrize(("estimator", "weights"), KINDS)
def test_intervals_cover(method: str, estimator: Estimator, weights: Floats) -> None:
    coverage = measure_coverage(method, estimator, weights, 4)
    assert coverage.mean() >= 0.88


@pytest.mark.slow
@pytest.mark.parametrize("method", UNIFORM_METHODS)
@pytest.mark.parametrize(("estimator", "weights"), KINDS)
def test_intervals_cover_over_100_seeds(method: str, estimator: Estimator, weights: Floats) -> None:
    coverage = measure_coverage(method, estimator, weights, 100)
    print(method, f"{coverage.mean():.3f}", coverage.round(3))
    # Rotations of one order cancel errors that these intervals count.
    assert 0.93 <= coverage.mean() <= (1 if method == "antithetic" else 0.985)
    assert coverage.min() >= 0.85


@pytest.mark.parametrize("scale", [1e-300, 1e300])
def test_values_follow_the_scale(scale: float) -> None:
    vote = security_council()
    one = shapley.estimate_banzhaf(record(vote.wins, 15, "complementary", 500))
    other = shapley.estimate_banzhaf(
        record(lambda c: scale * vote.wins(c), 15, "complementary", 500)
    )
    np.testing.assert_allclose(other.values / scale, one.values, rtol=1e-9)
    np.testing.assert_allclose(other.std_errors / scale, one.std_errors, rtol=1e-9)


def test_impossible_requests_are_refused() -> None:
    def code(request: Callable[[], object]) -> object:
        with pytest.raises(RefusalError) as refused:
            request()
        return refused.value.code

    utility = lambda c: c.sum(axis=1).astype(np.float64)  # noqa: E731
    empty = shapley.RecordedUtility(utility)
    assert code(lambda: shapley.estimate_banzhaf(empty)) is ShapleyCode.NOT_EVALUATED
    one_walk = record(utility, 6, "permutation", 5)
    assert code(lambda: shapley.estimate_banzhaf(one_walk)) is ShapleyCode.NOT_EVALUATED
    for alpha in (0.0, -1.0, math.inf, math.nan):
        refused = code(partial(shapley.estimate_beta_shapley, one_walk, alpha, 1))
        assert refused is ShapleyCode.BAD_WEIGHTS
    assert code(lambda: one_walk(np.zeros((1, 7), np.bool_))) is ShapleyCode.BAD_GAME
    wrong = shapley.RecordedUtility(lambda c: np.zeros(3))
    assert code(lambda: wrong(np.zeros((1, 7), np.bool_))) is ShapleyCode.BAD_GAME
