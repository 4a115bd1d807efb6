"""Compare two checkouts' numbers, and print them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Final

GOALS: Final[Mapping[str, tuple[str, float]]] = {
    "finality_p50_seconds_at_100": ("<", 0.05),
    "finality_p99_seconds_at_100": ("<", 0.2),
    "status_p99_seconds": ("<", 0.05),
    "cpu_ms_per_transaction": ("<", 0.2),
}
"""What each number should be at most, where there is a goal."""


def compute_ratios(this: Mapping[str, float], other: Mapping[str, float]) -> dict[str, float]:
    """Divide each number of this checkout by the other's.

    Args:
        this: This checkout's numbers by name.
        other: The other checkout's numbers.

    Returns:
        The ratios by name, of those numbers that both have and that the other has above 0.
    """
    return {
        name: value / other[name]
        for name, value in this.items()
        if other.get(name, 0.0) > 0 and not math.isnan(value)
    }


def format_table(this: Mapping[str, float], other: Mapping[str, float]) -> str:
    """Write the numbers as a table.

    Args:
        this: This checkout's numbers by name.
        other: The other checkout's numbers; empty without one.

    Returns:
        Lines of text: name, this checkout, and with another one its number and the ratio; then the
        goal.
    """
    ratios = compute_ratios(this, other)
    lines = []
    for name, value in this.items():
        cells = [f"{name:<34}{value:>10.3f}"]
        if other:
            ratio = f"{ratios[name]:.2f}" if name in ratios else ""
            cells.append(f"{other.get(name, float('nan')):>10.3f}{ratio:>8}")
        if name in GOALS:
            sign, limit = GOALS[name]
            cells.append(f"  goal {sign} {limit:g}{'' if value < limit else '   MISSED'}")
        lines.append("".join(cells))
    return "\n".join(lines)
