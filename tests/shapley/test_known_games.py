"""Games whose Shapley values are known in closed form, by every method."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from fedcoin import shapley

Bools = NDArray[np.bool_]
Floats = NDArray[np.float64]
SAMPLED = ["permutation", "antithetic", "truncated", "complementary", "kriging"]
METHODS = ["exact", *SAMPLED, "auto"]


class KnownGame(NamedTuple):
    worth: Callable[[Bools], Floats]
    values: Floats
    budget: int
    """A budget for methods that sample: fewer than all coalitions."""


def security_council() -> KnownGame:
    # Shapley and Shubik (1954): 5 permanent members of 15, 9 votes and no veto.
    def passes(coalitions: Bools) -> Floats:
        enough = coalitions.sum(axis=1) >= 9
        return (coalitions[:, :5].all(axis=1) & enough).astype(np.float64)

    return KnownGame(passes, np.array([421] * 5 + [4] * 10) / 2145, 1_500)


def college() -> KnownGame:
    """Weighted vote: 4, 3, 2, 1 and two players without a vote; 6 win."""
    weights = np.array([4, 3, 2, 1, 0, 0])
    values = np.array([5, 3, 3, 1, 0, 0]) / 12
    return KnownGame(lambda c: (c @ weights >= 6).astype(np.float64), values, 40)


def airport() -> KnownGame:
    # Littlechild and Owen (1973): the airlines that need a part of the runway share its cost.
    costs = np.array([1.0, 2.0, 2.0, 3.0, 10.0, 12.0, 12.5])
    shares = np.cumsum(np.diff(costs, prepend=0) / np.arange(len(costs), 0, -1))
    return KnownGame(lambda c: (c * costs).max(axis=1), shares, 80)


def gloves() -> KnownGame:
    """One left glove and four right ones; the left one gains nothing only when it joins first."""
    worth = lambda c: (c[:, 0] & c[:, 1:].any(axis=1)).astype(np.float64)  # noqa: E731
    return KnownGame(worth, np.array([4 / 5] + [1 / 20] * 4), 24)


def symmetric() -> KnownGame:
    return KnownGame(lambda c: np.sqrt(c.sum(axis=1)), np.full(9, 1 / 3), 150)


def additive() -> KnownGame:
    worth = np.array([3.0, -1.0, 0.5, 0.0, 2.0, 2.0, 7.0])
    return KnownGame(lambda c: 5.0 + c @ worth, worth, 80)


def dummies() -> KnownGame:
    """Two players of whom one suffices, one that adds nothing, two that always add the same."""

    def worth(coalitions: Bools) -> Floats:
        twins = coalitions[:, 0] | coalitions[:, 1]
        return twins + coalitions[:, 3:5] @ np.array([2.0, -1.0])

    return KnownGame(worth, np.array([0.5, 0.5, 0.0, 2.0, -1.0]), 24)


GAMES = [security_council, college, airport, gloves, symmetric, additive, dummies]


@pytest.mark.parametrize("make", GAMES, ids=lambda make: make.__name__)
@pytest.mark.parametrize("method", METHODS)
def test_known_values(method: str, make: Callable[[], KnownGame]) -> None:
    worth, values, budget = make()
    everything = (1 << len(values)) - 2
    estimate = shapley.estimate(
        worth, len(values), method, everything if method == "exact" else budget
    )
    if method == "exact":
        np.testing.assert_allclose(estimate.values, values, atol=1e-12)
    assert estimate.values.sum() == pytest.approx(values.sum())
    assert estimate.evaluations <= everything
    tiny = 1e-8 * np.abs(values).max()
    assert (np.abs(estimate.values - values) <= 5 * estimate.std_errors + tiny).all()


@pytest.mark.parametrize("method", ["complementary", "kriging", "auto"])
@pytest.mark.parametrize("make", GAMES[1:], ids=lambda make: make.__name__)
def test_known_values_from_all_coalitions(method: str, make: Callable[[], KnownGame]) -> None:
    worth, values, _ = make()
    estimate = shapley.estimate(worth, len(values), method, (1 << len(values)) - 2)
    np.testing.assert_allclose(estimate.values, values, atol=1e-9)
    assert estimate.std_errors.max() < 1e-6


@pytest.mark.parametrize("method", ["exact", "complementary", "kriging"])
@given(st.integers(2, 7), st.integers(0, 10**6))
@settings(max_examples=10, deadline=None)
def test_symmetry_null_players_and_linearity(method: str, n: int, seed: int) -> None:
    """The axioms hold when all coalitions are evaluated; the last player adds nothing."""
    rng = np.random.default_rng(seed)
    one, two = rng.normal(size=(2, 1 << n))
    order = rng.permutation(n)

    def values(table: Floats, places: NDArray[np.int64]) -> Floats:
        worth = lambda c: table[c[:, places] @ (1 << np.arange(n))]  # noqa: E731
        return shapley.estimate(worth, n + 1, method, (1 << (n + 1)) - 2).values

    plain = np.arange(n)
    first = values(one, plain)
    assert first[n] == pytest.approx(0, abs=1e-9)
    np.testing.assert_allclose(values(one, order)[order], first[:n], atol=1e-9)
    both = values(2 * one - 3 * two, plain)
    np.testing.assert_allclose(both, 2 * first - 3 * values(two, plain), atol=1e-8)


@pytest.mark.parametrize("n", [1, 2, 16, 17, 64, 65])
@pytest.mark.parametrize("method", SAMPLED)
def test_any_number_of_players(method: str, n: int) -> None:
    """Values depend on the size alone; some games have more players than a word has bits."""
    estimate = shapley.estimate(lambda c: np.sqrt(c.sum(axis=1)), n, method, 8 * n + 40)
    assert estimate.values.sum() == pytest.approx(np.sqrt(n))
    assert (np.abs(estimate.values - np.sqrt(n) / n) <= 6 * estimate.std_errors + 1e-8).all()
