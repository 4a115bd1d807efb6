"""How much of the correction is added, as a whole and along the model's values."""

from __future__ import annotations

import numpy as np
import pytest

from fedcoin.shapley.kriging.combination import Slope, combine, find_direction

VALUES = np.array([3.0, 1.0, -1.0, -3.0])
MODEL = np.full(4, 0.01)
NOISE = np.full(4, 1.0)


def test_the_direction_is_that_of_values_without_their_mean() -> None:
    direction = find_direction(VALUES + 7)
    np.testing.assert_allclose(direction, VALUES / np.sqrt(20))
    assert not find_direction(np.full(3, 0.1)).any()


def test_a_clear_correction_along_the_values_is_added_nearly_whole() -> None:
    direction = find_direction(VALUES)
    across = np.array([1.0, -1.0, -1.0, 1.0]) / 2
    correction = direction + across
    values, _ = combine(VALUES, MODEL, correction, NOISE, Slope(direction, 0.01))
    moved = values - VALUES
    assert moved @ direction == pytest.approx(1 - 1.5 * 0.01)
    assert moved @ across == pytest.approx(0.25)


def test_an_unclear_one_widens_the_intervals_by_what_it_leaves() -> None:
    direction = find_direction(VALUES)
    correction = 2 * direction
    plain = combine(VALUES, MODEL, correction, 4 * NOISE, Slope(np.zeros(4), 0.0))
    values, variances = combine(VALUES, MODEL, correction, 4 * NOISE, Slope(direction, 3.0))
    np.testing.assert_allclose(values, plain[0])
    left = 0.75**2 * (2**2 - 3) + 0.25**2 * 3
    np.testing.assert_allclose(variances - plain[1], left * direction**2)


def test_equal_values_have_no_direction() -> None:
    equal = np.zeros(4)
    values, variances = combine(equal, MODEL, VALUES, NOISE, Slope(find_direction(equal), 0.0))
    james_stein = 1 - 4 * (1 + 2 * np.sqrt(2 / 3)) / 20
    np.testing.assert_allclose(values, james_stein * VALUES)
    assert np.isfinite(variances).all()
