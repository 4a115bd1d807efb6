"""Standard errors from few samples."""

from __future__ import annotations

import numpy as np
import pytest

from fedcoin.shapley.std_errors import shrink_variances, student_factor


@pytest.mark.parametrize(("freedom", "quantile"), [(10, 2.2281), (30, 2.0423), (100, 1.9840)])
def test_widened_intervals_are_those_of_students_distribution(
    freedom: int, quantile: float
) -> None:
    assert 1.96 * student_factor(freedom) == pytest.approx(quantile, rel=0.02)


def test_variances_are_drawn_to_their_mean_and_keep_it() -> None:
    variances = np.array([0.0, 1.0, 5.0])
    few, many = shrink_variances(variances, 2, 10), shrink_variances(variances, 10_000, 10)
    assert few.mean() == pytest.approx(2)
    assert few == pytest.approx([2 - 2 / 11, 2 - 1 / 11, 2 + 3 / 11])
    assert many == pytest.approx(variances, abs=0.01)
