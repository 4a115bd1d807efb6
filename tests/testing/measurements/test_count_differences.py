"""Counts under other threads, block sizes and BLAS kernels stay within the tolerance."""

from __future__ import annotations

import pytest

from fedcoin.data.messages.parameters import Parameters
from fedcoin.incentive.proof.audit import compute_tolerance
from fedcoin.testing.measurements import count_differences


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_counts_differ_by_no_more_than_the_tolerance() -> None:
    found = count_differences.measure("digits")
    assert {row.how for row in found} == set(count_differences.VARIANTS) - {
        count_differences.REFERENCE
    }
    for row in found:
        assert row.coalitions == 1 << count_differences.CLIENTS
        assert row.most <= compute_tolerance(row.size, Parameters().utility_tolerance), row
