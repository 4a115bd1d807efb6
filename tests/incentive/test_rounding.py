"""Rounding by largest remainder."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedcoin.incentive.rounding import round_half_up, round_to_sum


@given(st.lists(st.integers(-(10**20), 10**20), min_size=1, max_size=20), st.integers(1, 10**12))
def test_sum_is_the_rounded_sum_and_each_part_is_within_one(
    numerators: list[int], denominator: int
) -> None:
    rounded = round_to_sum(numerators, denominator)
    assert sum(rounded) == round_half_up(sum(numerators), denominator)
    for value, numerator in zip(rounded, numerators, strict=True):
        assert abs(value - Fraction(numerator, denominator)) <= 1


@pytest.mark.parametrize(
    ("numerator", "denominator", "expected"),
    [(5, 2, 3), (-5, 2, -2), (7, 3, 2), (-7, 3, -2), (0, 9, 0), (8, 3, 3)],
)
def test_halves_go_up(numerator: int, denominator: int, expected: int) -> None:
    assert round_half_up(numerator, denominator) == expected


def test_largest_remainder_first_then_lower_index() -> None:
    assert round_to_sum([1, 1, 1], 3) == (1, 0, 0)
    assert round_to_sum([1, 2, 0], 3) == (0, 1, 0)
    assert round_to_sum([-1, -1, -1], 3) == (0, 0, -1)
    assert round_to_sum([], 3) == ()
