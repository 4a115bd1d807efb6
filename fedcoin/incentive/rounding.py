"""Rounding a vector of fractions to integers without losing its sum."""

from __future__ import annotations

from collections.abc import Sequence


def round_half_up(numerator: int, denominator: int) -> int:
    """``numerator / denominator`` to the nearest integer, halves upwards."""
    return (2 * numerator + denominator) // (2 * denominator)


def round_to_sum(numerators: Sequence[int], denominator: int) -> tuple[int, ...]:
    """Round ``numerators[k] / denominator`` so that the results add up to the rounded sum.

    Largest remainder: each fraction is rounded down, then as many as the sum needs get one more,
    largest fractional part first, ties to the lower index. The results add up to
    ``nearest(sum(numerators), denominator)`` and each is within 1 of its fraction.

    ``denominator`` must be positive.
    """
    floors = [value // denominator for value in numerators]
    missing = round_half_up(sum(numerators), denominator) - sum(floors)
    order = sorted(range(len(floors)), key=lambda k: (-(numerators[k] % denominator), k))
    for k in order[:missing]:
        floors[k] += 1
    return tuple(floors)
