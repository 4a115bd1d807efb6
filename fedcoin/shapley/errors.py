"""Codes of the refusals of the Shapley library.

A code's value is its name. Its text says what happened and, after a blank line, what to do.
`scripts/tools/write_error_codes.py` copies both into docs/API.md, with the code's gRPC status from
`network/error_statuses.py`.
"""

from __future__ import annotations

from enum import Enum


class ShapleyCode(str, Enum):
    """Why a call of the library was refused."""

    BAD_GAME = "BAD_GAME"
    """There is no player, there are too many for the method, the utility function does not return
    one finite number for each coalition, or a value is larger than float64 holds.

    Check `n` and the utility function; use the method `auto` for many players."""
    BAD_METHOD = "BAD_METHOD"
    """No estimator has that name.

    Use one of `fedcoin.shapley.METHODS`, or `auto`."""
    BAD_BUDGET = "BAD_BUDGET"
    """The budget has fewer evaluations than the method needs.

    Give at least as many as the error names."""
    NOT_EVALUATED = "NOT_EVALUATED"
    """The recorded evaluations do not hold what the values are computed from.

    Pass the recorded utility to `fedcoin.shapley.estimate` first; give it a larger budget."""
    BAD_WEIGHTS = "BAD_WEIGHTS"
    """A parameter of Beta-Shapley values is not a finite number above 0.

    Give the numbers that the error asks for."""
    BAD_TOLERANCE = "BAD_TOLERANCE"
    """The tolerance is not a finite number above 0.

    Give the largest half-width of a 95 % interval, in the utility's unit."""
    BAD_ROUNDS = "BAD_ROUNDS"
    """The rounds' values, players or weights do not fit together.

    Give one weight and one list of players for each round."""
    BAD_NAMES = "BAD_NAMES"
    """There is not one name for each player.

    Give as many names as the estimate has values."""
    NO_PANDAS = "NO_PANDAS"
    """A data frame was asked for, and pandas is not installed.

    Install pandas, or write a CSV file."""
