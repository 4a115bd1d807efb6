from __future__ import annotations

import pytest

from fedcoin.testing.measurements.difficulty_retargeting import measure_retargeting


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("factor", [4.0, 0.25])
def test_the_difficulty_follows_the_miners_speed_within_ten_tasks(factor: float) -> None:
    """The median time to settlement comes within 15 % of the target, and stays there."""
    response = measure_retargeting(factor, runs=3)
    assert response.failed == 0
    assert abs(response.after[0] / response.target - 1) > 0.7
    assert 1 < response.settled_from(tolerance=0.15) <= 10
