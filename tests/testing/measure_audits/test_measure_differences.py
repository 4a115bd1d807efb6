from __future__ import annotations

import numpy as np
import pytest

from fedcoin.learning.measures.terms import NAMES
from fedcoin.testing.measure_audits.measure_differences import (
    find_refused_lines,
    find_refused_swaps,
    measure_differences,
)


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_honest_differences_are_within_the_tolerance_and_forged_utilities_are_not() -> None:
    found = measure_differences("digits")
    assert {row.measure for row in found} == set(NAMES)
    for row in found:
        assert row.max_difference <= row.tolerance, row
        # One of several challenged coalitions is enough to refuse a miner's evidence.
        assert row.refused_lines > 0.2, row


def test_forged_utilities_are_compared_with_the_true_ones() -> None:
    members = np.array([mask.bit_count() for mask in range(256)])
    line = 10 * members
    assert find_refused_lines(line, 0) == 0
    assert find_refused_swaps(line, 0) == 0
    first = 10 * members + 5 * (np.arange(256) & 1)
    assert find_refused_lines(first, 0) > 0.4
    assert 0 < find_refused_swaps(first, 4) < 1
    assert find_refused_swaps(first, 5) == 0
