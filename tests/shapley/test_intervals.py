"""95 % intervals cover the exact values about as often as they claim, on games of several kinds.

Coverage measured with 200 seeds over all games, with the lowest and the highest of a single game:
permutation 94.7 % (92.5 to 97.6), antithetic 96.3 % (82.9 to 100), truncated 96.4 % (94.2 to 100),
complementary 95.7 % (95.0 to 96.6). Kriging covers 96.6 % (90.4 to 98.8), with 48 seeds: its
correction counts coalitions that are far apart as if they were independent.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import pytest
from numpy.typing import NDArray

from fedcoin import shapley
from tests.support.paths import MNIST_GAMES

SAMPLED = ["permutation", "antithetic", "truncated", "complementary", "kriging"]
CASES = [
    ("iid-1", 200),
    ("label-skew-1", 100),
    ("few-labels-1", 200),
    ("unequal-sizes-3", 100),
    ("label-noise-3", 200),
    ("feature-noise-3", 100),
    ("weighted-vote", 200),
    ("clubs", 100),
    ("root-of-sum", 200),
    ("noise", 100),
]


class ExactGame(NamedTuple):
    utility: Callable[[NDArray[np.bool_]], NDArray[np.float64]]
    values: NDArray[np.float64]


def load_game(name: str) -> ExactGame:
    """Load a game of ten players that scripts/tools/make_mnist_games.py made, or make one."""
    members = ((np.arange(1 << 10)[:, None] >> np.arange(10)) & 1).astype(np.float64)
    rng = np.random.default_rng(5)
    weights = rng.integers(1, 20, 10)
    if name == "weighted-vote":
        table = (members @ weights > 0.55 * weights.sum()).astype(np.float64)
    elif name == "root-of-sum":
        table = np.sqrt(members @ weights)
    elif name == "noise":
        table = rng.normal(size=1 << 10)
    elif name == "clubs":
        clubs = rng.random((30, 10)) < 0.35
        table = (members @ clubs.T == clubs.sum(axis=1)) @ rng.normal(size=30)
    else:
        with np.load(MNIST_GAMES) as tables:
            table = tables[name] / 10_000
    utility = lambda coalitions: table[coalitions @ (1 << np.arange(10))]  # noqa: E731
    return ExactGame(utility, shapley.estimate(utility, 10, "exact").values)


def measure_coverage(method: str, name: str, budget: int, seeds: int) -> float:
    """Return the fraction of intervals that cover the exact value."""
    game = load_game(name)
    covered = []
    for seed in range(seeds):
        estimate = shapley.estimate(game.utility, 10, method, budget, seed)
        covered.append(np.abs(estimate.values - game.values) <= 1.96 * estimate.std_errors)
    return float(np.mean(covered))


@pytest.mark.parametrize(
    ("method", "seeds"),
    [
        *((method, 10) for method in SAMPLED if method != "kriging"),
        ("kriging", 4),
        pytest.param("kriging", 10, marks=pytest.mark.slow),
    ],
)
def test_coverage_over_some_seeds(method: str, seeds: int) -> None:
    coverage = [measure_coverage(method, name, 100, seeds) for name, _ in CASES]
    assert 0.9 <= np.mean(coverage) <= 0.99


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize(
    ("method", "seeds"),
    # A kriging estimate takes half a second. With 60 seeds the mean has a standard error of 0.25 %.
    [*((method, 200) for method in SAMPLED if method != "kriging"), ("kriging", 60)],
)
def test_coverage_over_many_seeds(method: str, seeds: int) -> None:
    coverage = {
        (name, budget): measure_coverage(method, name, budget, seeds) for name, budget in CASES
    }
    print(method, f"{np.mean(list(coverage.values())):.3f}", coverage)
    # Over a family of games 90 to 98 % are wanted; these ten should not be at the lower end.
    assert 0.93 <= np.mean(list(coverage.values())) <= 0.98
    assert min(coverage.values()) >= 0.8


@pytest.mark.slow
def test_coverage_when_a_tolerance_ends_the_estimate() -> None:
    """Ending at the first narrow intervals favours samples that happen to vary little."""
    covered, ends_early = [], []
    for name, _ in CASES:
        game = load_game(name)
        at_300 = shapley.estimate(game.utility, 10, "kriging", 300, seed=99)
        tolerance = 1.96 * float(at_300.std_errors.max())
        for seed in range(10):
            estimate = shapley.estimate(
                game.utility, 10, "kriging", 1000, seed, tolerance=tolerance
            )
            half_widths = 1.96 * estimate.std_errors
            covered.append(np.abs(estimate.values - game.values) <= half_widths)
            ends_early.append(estimate.evaluations < 1000)
    assert np.mean(ends_early) > 0.8
    assert 0.88 <= np.mean(covered) <= 0.99
