"""What THREATS.md says about D, on the real ledger and the program's own stopping rule."""

from __future__ import annotations

import pytest

from fedcoin.testing.measurements import difficulty


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("factor", [4.0, 0.25])
def test_a_step_of_the_power_is_followed_within_ten_tasks(factor: float) -> None:
    """The median time to settlement comes within 15 % of the target, and stays there."""
    found = difficulty.step(factor, runs=3)
    assert found.failed == 0
    assert abs(found.after[0] / found.target - 1) > 0.7
    assert 1 < found.settled(within=0.15) <= 10


def test_who_did_the_least_is_no_inlier_at_any_distance() -> None:
    points = difficulty.least(2, 2, (max(difficulty.WIDTHS), 0.1, 0.05))
    for point in points:
        assert point.honest >= 32
        for samples, near, inside in point.shares:
            assert inside <= near
            if 8 * samples < point.honest:
                assert inside == 0
    # At the widest D of all, distance alone stops nobody.
    widest = points[0]
    assert [near for _, near, _ in widest.shares] == [1.0] * len(difficulty.FEW)


def test_the_bar_bounds_what_stopping_at_will_gains() -> None:
    loose, tight, tighter = difficulty.stopped(40)
    assert (loose.least, tight.least, tighter.least) == (32, 125, 250)
    assert loose.mean > tight.mean > tighter.mean > 0
    for row in (loose, tight, tighter):
        # The mean of 40 runs; the law is for sampling without end.
        assert row.mean < row.expected + 0.5
        assert row.settled < 0.3
