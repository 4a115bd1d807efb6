from __future__ import annotations

import pytest

from fedcoin.data.messages.parameters import Parameters
from fedcoin.incentive.proof.audit import compute_tolerance
from fedcoin.testing.measurements.count_differences import (
    CLIENTS,
    REFERENCE,
    VARIANTS,
    measure_count_differences,
)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_counts_differ_by_at_most_the_tolerance() -> None:
    differences = measure_count_differences("digits")
    assert {row.how for row in differences} == set(VARIANTS) - {REFERENCE}
    for row in differences:
        assert row.coalitions == 1 << CLIENTS
        tolerance = compute_tolerance(row.size, Parameters().utility_tolerance)
        assert row.max_difference <= tolerance, row
