"""Rounding by largest remainder: integers that add up to the rounded sum.

Every split of an amount and every rounded vector of values in the protocol goes through
`round_to_sum`. All arithmetic is in Python's integers, which do not overflow.
"""

from __future__ import annotations

from collections.abc import Sequence


def round_half_up(numerator: int, denominator: int) -> int:
    """Round a fraction to the nearest integer, halves upwards.

    Args:
        numerator: Any integer.
        denominator: At least 1.

    Returns:
        The integer nearest to `numerator / denominator`; 5 / 2 gives 3 and -5 / 2 gives -2.
    """
    return (2 * numerator + denominator) // (2 * denominator)


def round_to_sum(numerators: Sequence[int], denominator: int) -> tuple[int, ...]:
    """Round fractions of one denominator so that the results add up to their rounded sum.

    Largest remainder method (Hamilton's): round each fraction down, then add 1 to as many of them
    as the sum lacks, those with the largest fractional part first. Ties go to the lower index.

    Args:
        numerators: Any integers.
        denominator: At least 1.

    Returns:
        One integer for each numerator, less than 1 away from its fraction. Together they add up
        to `round_half_up(sum(numerators), denominator)`; a whole fraction stays as it is.
    """
    rounded = [numerator // denominator for numerator in numerators]
    missing = round_half_up(sum(numerators), denominator) - sum(rounded)
    if not missing:
        return tuple(rounded)
    by_remainder = sorted(range(len(rounded)), key=lambda k: (-(numerators[k] % denominator), k))
    for k in by_remainder[:missing]:
        rounded[k] += 1
    return tuple(rounded)
