"""The games on which the estimators are compared, in families, with their budgets.

A family is held out when no constant of `fedcoin.shapley` was chosen or fitted on its games, nor
are they in the tests of `tests/shapley`: nobody who works on an estimator runs it on them except
through this benchmark.
"""

from __future__ import annotations

import fnmatch
import functools
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fedcoin import shapley
from scripts.benchmarks.known_games import make_known_games
from scripts.benchmarks.trained_games import list_coalitions, make_trained_games

TABLES = Path(__file__).resolve().parents[2] / "tests/shapley/mnist.npz"
"""The worth of all coalitions of MNIST's games."""

SMALL_BUDGETS = (50, 100, 200, 400)
"""The numbers of evaluations that small games are tried with."""

COUNCIL_BUDGETS = (50, 100, 200, 400, 1_000, 3_000, 10_000)
"""The numbers of evaluations that voting games of 15 players are tried with."""

LARGE_BUDGETS = (400, 1_000, 3_000, 10_000)
"""The numbers of evaluations that games of more players are tried with."""

FAMILIES = {
    "MNIST": "accuracies of averaged networks, MNIST, 10 clients",
    "formulas": "known structure, 10 players",
    "natural clients": "hospitals and states, 12 clients",
    "digits": "digits by Dirichlet shares, and with copies, 10 clients",
    "retraining": "data valuation by retraining, 10 owners",
    "votes": "weighted voting, 15 to 51 players",
    "large": "airport, glove, unanimity, copies; 30 to 100 players",
}
"""Families of games, with what they are."""

HELD_OUT = ("natural clients", "digits", "retraining")
"""The families that no estimator was developed with."""


@dataclass(frozen=True)
class BenchGame:
    """A game with its exact values."""

    name: str
    """Unique."""
    family: str
    """A key of `FAMILIES`."""
    n: int
    """The number of players."""
    utility: Callable[[NDArray[np.bool_]], NDArray[np.float64]]
    """Takes coalitions, bool (m, n), and returns their worth, float64 (m,)."""
    values: NDArray[np.float64]
    """The Shapley values, float64 (n,)."""
    budgets: tuple[int, ...]
    """The numbers of evaluations to try."""


def _of_table(name: str, family: str, worth: NDArray[np.float64]) -> BenchGame:
    n = len(worth).bit_length() - 1
    bits = 1 << np.arange(n)

    def utility(rows: NDArray[np.bool_]) -> NDArray[np.float64]:
        return np.asarray(worth[np.asarray(rows) @ bits])

    values = shapley.estimate(utility, n, "exact").values
    return BenchGame(name, family, n, utility, values, SMALL_BUDGETS)


def _formula_tables() -> dict[str, NDArray[np.float64]]:
    """Return the worth of all 1,024 coalitions of seven games, float64; player k is bit k."""
    n, rng = 10, np.random.default_rng(5)
    members = list_coalitions(n).astype(float)
    weights = rng.integers(1, 20, n)
    pairs = rng.normal(size=(n, n))
    clubs = [(rng.random(n) < 0.35, rng.normal()) for _ in range(30)]
    return {
        "weighted-vote": (members @ weights > 0.55 * weights.sum()).astype(float),
        "airport": (members * weights).max(axis=1),
        "glove": np.minimum(members[:, :5].sum(axis=1), members[:, 5:].sum(axis=1)),
        "root-of-sum": np.sqrt(members @ weights),
        "pairs": np.einsum("mi,ij,mj->m", members, pairs, members),
        "clubs": np.sum([v * members[:, club].all(axis=1) for club, v in clubs], axis=0),
        "noise": rng.normal(size=1 << n),
    }


def _family_of(name: str) -> str:
    if name.startswith("retrain"):
        return "retraining"
    return "digits" if name.startswith(("digits", "copies")) else "natural clients"


@functools.cache
def make_games(folder: Path, pattern: str = "*") -> dict[str, BenchGame]:
    """Make games, once in a process.

    Args:
        folder: Where the tables of trained games are kept.
        pattern: The names of the games that are wanted, as for `fnmatch`.

    Returns:
        Games by name.
    """
    with np.load(TABLES) as file:
        tables = {f"mnist-{name}": ("MNIST", file[name] / 10_000) for name in file.files}
    tables |= {name: ("formulas", worth) for name, worth in _formula_tables().items()}
    tables |= {
        name: (_family_of(name), worth)
        for name, worth in make_trained_games(folder, pattern).items()
    }
    games = [
        _of_table(name, family, worth)
        for name, (family, worth) in tables.items()
        if fnmatch.fnmatch(name, pattern)
    ]
    for known in make_known_games():
        n = len(known.values)
        family = "votes" if "Council" in known.name or "college" in known.name else "large"
        budgets = COUNCIL_BUDGETS if n == 15 else LARGE_BUDGETS
        if fnmatch.fnmatch(known.name, pattern):
            games.append(BenchGame(known.name, family, n, known.utility, known.values, budgets))
    return {game.name: game for game in games}
