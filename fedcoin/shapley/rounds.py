"""Values over several rounds: weighted sums of the rounds' values, with their standard errors."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from fedcoin.data.errors import RefusalError
from fedcoin.shapley.array_types import Floats
from fedcoin.shapley.errors import ShapleyCode


class PlayerValues(Protocol):
    """Values of players with their standard errors: any estimate of this package."""

    @property
    def values(self) -> Floats:
        """(n,), in the utility's unit."""
        ...

    @property
    def std_errors(self) -> Floats:
        """(n,), one standard error each, in the utility's unit."""
        ...


@dataclass(frozen=True, slots=True)
class RoundSum:
    """Values of players over several rounds."""

    values: Floats
    """(n,), in the utility's unit."""
    std_errors: Floats
    """(n,), one standard error each: `values` plus and minus 1.96 of them is a 95 % interval."""


def add_rounds(
    rounds: Sequence[PlayerValues],
    weights: Sequence[float] | None = None,
    players: Sequence[Sequence[int]] | None = None,
) -> RoundSum:
    """Add the values of rounds, and the squares of their standard errors.

    The errors must be independent: estimate each round with a seed of its own. Values of rounds
    that were estimated with one seed draw the same coalitions, so that their errors can add up.

    Args:
        rounds: The estimates of the rounds, at least one.
        weights: What each round counts, finite numbers; 1 for each by default. 1 / number of rounds
            gives means.
        players: For each round the players that took part, as indices from 0; a player has no value
            in the other rounds. By default all rounds have the same players.

    Returns:
        The weighted sums. With `players`, n is the largest index plus 1.

    Raises:
        RefusalError: BAD_ROUNDS when there is no round, the rounds have different numbers of
            players, or `players` or `weights` do not fit them.
    """
    if not rounds:
        raise _bad_rounds("there is no round; give at least one estimate", "rounds")
    counted = np.ones(len(rounds)) if weights is None else np.asarray(weights, np.float64)
    if counted.shape != (len(rounds),) or not np.isfinite(counted).all():
        raise _bad_rounds(
            f"the weights {list(weights or ())} do not fit {len(rounds)} rounds; give one finite "
            "number for each round",
            "weights",
        )
    if players is None:
        players = [range(len(rounds[0].values))] * len(rounds)
    _check_players(rounds, players)
    n = max((index for members in players for index in members), default=-1) + 1
    values, variances = np.zeros(n), np.zeros(n)
    for estimate, weight, members in zip(rounds, counted.tolist(), players, strict=True):
        if weight == 0:  # An infinite error times 0 is no number.
            continue
        values[list(members)] += weight * estimate.values
        variances[list(members)] += (weight * estimate.std_errors) ** 2
    return RoundSum(values, np.sqrt(variances))


def _check_players(rounds: Sequence[PlayerValues], players: Sequence[Sequence[int]]) -> None:
    if len(players) != len(rounds):
        raise _bad_rounds(
            f"players lists {len(players)} rounds of {len(rounds)}; list each round's", "players"
        )
    for number, (estimate, members) in enumerate(zip(rounds, players, strict=True)):
        if len(members) != len(estimate.values):
            raise _bad_rounds(
                f"round {number} has {len(estimate.values)} values for {len(members)} players; "
                "say with `players` who took part in each round",
                "players",
            )
        if len(set(members)) != len(members) or min(members, default=0) < 0:
            raise _bad_rounds(
                f"round {number} lists a player twice or a negative index; use indices from 0",
                "players",
            )


def _bad_rounds(sentence: str, field: str) -> RefusalError:
    return RefusalError(ShapleyCode.BAD_ROUNDS, sentence, field=field)
