"""Games whose Shapley values are known from a formula, for any number of players.

The values come from generating functions or from closed forms, never from an estimator, so that
they are exact for 100 players too. Each function returns a `KnownGame`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Bools = NDArray[np.bool_]
Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Utility = Callable[[Bools], Floats]
"""Takes coalitions, bool (m, n), and returns their worth, float64 (m,)."""

# The Council's members and their populations in units of 100,000 (Eurostat, 1 January 2024).
EU_POPULATIONS = {
    "Germany": 834, "France": 684, "Italy": 590, "Spain": 486, "Poland": 366, "Romania": 191,
    "Netherlands": 179, "Belgium": 118, "Czechia": 109, "Sweden": 106, "Portugal": 106,
    "Greece": 104, "Hungary": 96, "Austria": 92, "Bulgaria": 64, "Denmark": 60, "Finland": 56,
    "Slovakia": 54, "Ireland": 53, "Croatia": 39, "Lithuania": 29, "Slovenia": 21, "Latvia": 19,
    "Estonia": 14, "Cyprus": 9, "Luxembourg": 7, "Malta": 6,
}  # fmt: skip

US_ELECTORS = (
    54, 40, 30, 28, 19, 19, 17, 16, 16, 15, 14, 13, 12, 11, 11, 11, 11, 10, 10, 10, 10, 10, 9, 9, 8,
    8, 8, 7, 7, 6, 6, 6, 6, 6, 6, 5, 5, 4, 4, 4, 4, 4, 4, 4, 3, 3, 3, 3, 3, 3, 3,
)  # fmt: skip
"""Electors of the 50 states and the District of Columbia from 2024 to 2028."""


@dataclass(frozen=True)
class KnownGame:
    """A cooperative game with its exact Shapley values."""

    name: str
    """Unique."""
    utility: Utility
    """Takes coalitions, bool (m, n), and returns their worth, float64 (m,)."""
    values: Floats
    """The Shapley values, float64 (n,)."""


def compute_voting_values(
    weights: Sequence[int], quota: int, min_members: int = 0, enough_members: int | None = None
) -> Floats:
    """Compute the Shapley-Shubik indices of a voting game with generating functions.

    Args:
        weights: The players' weights, at least 0.
        quota: The weight from which on a coalition wins.
        min_members: The number of members that a winning coalition needs.
        enough_members: The number of members that win whatever they weigh, or None.

    Returns:
        The values, float64 (n,): for each player, the share of orders in which it is pivotal.
    """
    n, total = len(weights), sum(weights)
    sizes, sums = np.arange(n + 1)[:, None], np.arange(total + 1)[None]
    wins = (sums >= quota) & (sizes >= min_members)
    if enough_members is not None:
        wins |= sizes >= enough_members
    chances = np.array([1 / (n * math.comb(n - 1, size)) for size in range(n)])
    of_weight: dict[int, float] = {}
    for player, weight in enumerate(weights):
        if weight in of_weight:
            continue
        # counts[s, w]: coalitions of s others with the weight w; below 2^53 for up to 53 players.
        counts = np.zeros((n + 1, total + 1))
        counts[0, 0] = 1
        for other in (*weights[:player], *weights[player + 1 :]):
            counts[1:, other:] += counts[:-1, : total + 1 - other]
        with_player = np.zeros_like(wins[:n])
        with_player[:, : total + 1 - weight] = wins[1:, weight:]
        pivotal = (counts[:n] * (with_player & ~wins[:n])).sum(axis=1)
        of_weight[weight] = float(chances @ pivotal)
    return np.array([of_weight[weight] for weight in weights])


def make_voting_game(
    name: str,
    weights: Sequence[int],
    quota: int,
    min_members: int = 0,
    enough_members: int | None = None,
) -> KnownGame:
    """Make a voting game: a coalition is worth 1 when it wins, otherwise 0.

    Args:
        name: The game's name.
        weights: The players' weights, at least 0.
        quota: The weight from which on a coalition wins.
        min_members: The number of members that a winning coalition needs.
        enough_members: The number of members that win whatever they weigh, or None.

    Returns:
        The game with its exact values, of `compute_voting_values`.
    """
    each = np.array(weights)

    def utility(rows: Bools) -> Floats:
        members = rows.sum(axis=1)
        wins = (rows @ each >= quota) & (members >= min_members)
        if enough_members is not None:
            wins |= members >= enough_members
        return np.asarray(wins, np.float64)

    return KnownGame(
        name, utility, compute_voting_values(weights, quota, min_members, enough_members)
    )


def make_security_council() -> KnownGame:
    """Make the UN Security Council: nine of 15 votes, with those of all five permanent members.

    Returns:
        The game of 15 players; a permanent member's value is 421/2145.
    """
    return make_voting_game("UN Security Council, 15", [7] * 5 + [1] * 10, 39)


def make_eu_council() -> KnownGame:
    """Make the Council of the EU: 15 of 27 members with 65 % of the population, or 24 members.

    Returns:
        The game of 27 players.
    """
    populations = list(EU_POPULATIONS.values())
    quota = math.ceil(0.65 * sum(populations))
    return make_voting_game("EU Council, 27", populations, quota, 15, 24)


def make_electoral_college() -> KnownGame:
    """Make the US electoral college: 270 of 538 electors.

    Returns:
        The game of 51 players.
    """
    return make_voting_game("US electoral college, 51", US_ELECTORS, 270)


def make_airport(n: int, seed: int) -> KnownGame:
    """Make an airport game: a coalition costs what its most expensive member costs.

    Args:
        n: Number of players.
        seed: Seed of the costs, integers from 1 to 100.

    Returns:
        The game, with the values of Littlechild and Owen (1973).
    """
    costs = np.sort(np.random.default_rng(seed).integers(1, 101, n)).astype(float)
    steps = np.diff(costs, prepend=0.0) / np.arange(n, 0, -1)
    return KnownGame(
        f"airport, {n}", lambda rows: (rows * costs).max(axis=1, initial=0), np.cumsum(steps)
    )


def make_glove(left: int, right: int) -> KnownGame:
    """Make a glove game: a coalition is worth its number of pairs.

    Args:
        left: Number of players with a left glove.
        right: Number of players with a right glove.

    Returns:
        The game of `left` + `right` players.
    """
    n = left + right

    def chance_of_a_pair(own: int, other: int) -> float:
        """Return the chance that a joining player meets more gloves of the other hand."""
        found = 0.0
        for size in range(n):
            mixed = range(max(0, size - other), min(own - 1, size) + 1)
            good = sum(
                math.comb(own - 1, mine) * math.comb(other, size - mine)
                for mine in mixed
                if size - mine > mine
            )
            found += good / math.comb(n - 1, size) / n
        return found

    values = [chance_of_a_pair(left, right)] * left + [chance_of_a_pair(right, left)] * right

    def utility(rows: Bools) -> Floats:
        pairs = np.minimum(rows[:, :left].sum(axis=1), rows[:, left:].sum(axis=1))
        return np.asarray(pairs, np.float64)

    return KnownGame(f"glove {left}:{right}, {n}", utility, np.array(values))


def make_unanimity(n: int, carriers: int) -> KnownGame:
    """Make a unanimity game: a coalition is worth 1 when it has all carriers.

    Args:
        n: Number of players.
        carriers: How many of them, the first, are carriers.

    Returns:
        The game; a carrier's value is 1 / `carriers`.
    """
    return KnownGame(
        f"unanimity of {carriers}, {n}",
        lambda rows: rows[:, :carriers].all(axis=1).astype(float),
        np.where(np.arange(n) < carriers, 1 / carriers, 0.0),
    )


def make_duplicates(n: int, copies: int, seed: int) -> KnownGame:
    """Make a game of copies: a coalition is worth the weights of the originals that it has.

    Args:
        n: Number of players, a multiple of `copies`.
        copies: How many players hold the same original.
        seed: Seed of the weights, uniform between 0 and 1.

    Returns:
        The game; the holders of an original share its weight.
    """
    weights = np.random.default_rng(seed).random(n // copies)

    def utility(rows: Bools) -> Floats:
        held = rows.reshape(len(rows), n // copies, copies).any(axis=2)
        return np.asarray(held @ weights)

    return KnownGame(f"{copies} copies each, {n}", utility, np.repeat(weights / copies, copies))


def make_known_games() -> list[KnownGame]:
    """Make the games with more than twelve players that the benchmark uses.

    Returns:
        The games, with 15 to 100 players.
    """
    return [
        make_security_council(),
        make_eu_council(),
        make_electoral_college(),
        make_airport(30, 1),
        make_glove(10, 20),
        make_unanimity(30, 5),
        make_duplicates(30, 3, 2),
        make_airport(100, 3),
        make_unanimity(100, 5),
        make_duplicates(100, 4, 4),
    ]
