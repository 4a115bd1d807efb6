from __future__ import annotations

from fedcoin.testing.measurements.minimum_samples import (
    DISTANCES,
    FEW_SAMPLES,
    measure_inlier_shares,
    measure_stopping_gain,
)


def test_a_vector_of_few_samples_is_no_inlier_at_any_distance() -> None:
    points = measure_inlier_shares(2, 2, (max(DISTANCES), 0.1, 0.05))
    for point in points:
        assert point.honest_samples >= 32
        for samples, near, inlier in point.shares:
            assert inlier <= near
            if 8 * samples < point.honest_samples:
                assert inlier == 0
    # At the largest D, every vector is near the others.
    assert [near for _, near, _ in points[0].shares] == [1.0] * len(FEW_SAMPLES)


def test_the_minimum_number_of_samples_bounds_the_gain_of_stopping() -> None:
    loose, tight, tighter = measure_stopping_gain(40)
    assert (loose.min_samples, tight.min_samples, tighter.min_samples) == (32, 125, 250)
    assert loose.mean_gain > tight.mean_gain > tighter.mean_gain > 0
    for gain in (loose, tight, tighter):
        # The mean of 40 runs; the expectation is for sampling without end.
        assert gain.mean_gain < gain.expected_gain + 0.5
        assert gain.settled_gain < 0.3
