"""Games whose values are known, by every method that takes them."""

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


class Known(NamedTuple):
    worth: Callable[[Bools], Floats]
    values: Floats
    budget: int
    """For sampling: less than all coalitions."""


def security_council() -> Known:
    # Shapley and Shubik (1954): 5 permanent members of 15, 9 votes and no veto.
    def passes(coalitions: Bools) -> Floats:
        enough = coalitions.sum(axis=1) >= 9
        return (coalitions[:, :5].all(axis=1) & enough).astype(np.float64)

    return Known(passes, np.array([421] * 5 + [4] * 10) / 2145, 1_500)


def college() -> Known:
    """Weights 4, 3, 2, 1 and two without a vote; 6 win."""
    weights = np.array([4, 3, 2, 1, 0, 0])
    values = np.array([5, 3, 3, 1, 0, 0]) / 12
    return Known(lambda c: (c @ weights >= 6).astype(np.float64), values, 40)


def airport() -> Known:
    # Littlechild and Owen (1973): each piece of the runway is shared by those who need it.
    costs = np.array([1.0, 2.0, 2.0, 3.0, 10.0, 12.0, 12.5])
    shares = np.cumsum(np.diff(costs, prepend=0) / np.arange(len(costs), 0, -1))
    return Known(lambda c: (c * costs).max(axis=1), shares, 80)


def gloves() -> Known:
    """One left glove, four right ones: only when the left one comes first does it get nothing."""
    worth = lambda c: (c[:, 0] & c[:, 1:].any(axis=1)).astype(np.float64)  # noqa: E731
    return Known(worth, np.array([4 / 5] + [1 / 20] * 4), 24)


def symmetric() -> Known:
    return Known(lambda c: np.sqrt(c.sum(axis=1)), np.full(9, 1 / 3), 150)


def additive() -> Known:
    worth = np.array([3.0, -1.0, 0.5, 0.0, 2.0, 2.0, 7.0])
    return Known(lambda c: 5.0 + c @ worth, worth, 80)


def dummies() -> Known:
    """Twins of whom one is enough, one who adds nothing, two who always add the same."""

    def worth(coalitions: Bools) -> Floats:
        twins = coalitions[:, 0] | coalitions[:, 1]
        return twins + coalitions[:, 3:5] @ np.array([2.0, -1.0])

    return Known(worth, np.array([0.5, 0.5, 0.0, 2.0, -1.0]), 24)


GAMES = [security_council, college, airport, gloves, symmetric, additive, dummies]


@pytest.mark.parametrize("make", GAMES, ids=lambda make: make.__name__)
@pytest.mark.parametrize("method", METHODS)
def test_known_values(method: str, make: Callable[[], Known]) -> None:
    worth, values, budget = make()
    everything = (1 << len(values)) - 2
    found = shapley.estimate(
        worth, len(values), method, everything if method == "exact" else budget
    )
    if method == "exact":
        np.testing.assert_allclose(found.values, values, atol=1e-12)
    assert found.values.sum() == pytest.approx(values.sum())
    assert found.evaluations <= everything
    tiny = 1e-8 * np.abs(values).max()
    assert (np.abs(found.values - values) <= 5 * found.std_errors + tiny).all()


@pytest.mark.parametrize("method", ["complementary", "kriging", "auto"])
@pytest.mark.parametrize("make", GAMES[1:], ids=lambda make: make.__name__)
def test_known_values_from_everything(method: str, make: Callable[[], Known]) -> None:
    worth, values, _ = make()
    found = shapley.estimate(worth, len(values), method, (1 << len(values)) - 2)
    np.testing.assert_allclose(found.values, values, atol=1e-9)
    assert found.std_errors.max() < 1e-6


@pytest.mark.parametrize("method", ["exact", "complementary", "kriging"])
@given(st.integers(2, 7), st.integers(0, 10**6))
@settings(max_examples=10, deadline=None)
def test_symmetry_null_players_and_linearity(method: str, n: int, seed: int) -> None:
    """What seeing all coalitions must give, of games with a player more who does nothing."""
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
    """A game of size alone, at more players than fit a machine word's bits."""
    found = shapley.estimate(lambda c: np.sqrt(c.sum(axis=1)), n, method, 8 * n + 40)
    assert found.values.sum() == pytest.approx(np.sqrt(n))
    assert (np.abs(found.values - np.sqrt(n) / n) <= 6 * found.std_errors + 1e-8).all()
