"""Codes of the refusals of the Shapley library."""

from __future__ import annotations

from enum import Enum


class ShapleyCode(str, Enum):
    """Why a call of the library was refused; value and name are the same."""

    BAD_GAME = "BAD_GAME"
    """No player, too many players for the method, or a utility whose answers are not numbers."""
    BAD_METHOD = "BAD_METHOD"
    """No estimator has that name."""
    BAD_BUDGET = "BAD_BUDGET"
    """Fewer evaluations than the method needs."""
