"""The size of batches, against computers of known speed."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fedcoin.learning.workers.batch_sizer import (
    BATCH_SECONDS,
    FIRST_BATCH,
    MAX_BATCH,
    BatchSizer,
)


def run(sizer: BatchSizer, seconds: Callable[[int], float], batches: int) -> list[int]:
    """Evaluate full batches whose time depends on their size; return the sizes."""
    sizes = []
    for _ in range(batches):
        sizes.append(sizer.size)
        sizer.learn(sizer.size, seconds(sizer.size))
    return sizes


@settings(max_examples=100, deadline=None)
@given(each=st.floats(1e-7, 2.0), fixed=st.floats(0, 0.1), limit=st.integers(1, 10_000))
def test_no_batch_takes_longer_than_it_should(each: float, fixed: float, limit: int) -> None:
    """The first batch aside, and one coalition, which cannot be divided."""

    def seconds(size: int) -> float:
        return fixed + each * size

    sizes = run(BatchSizer(limit), seconds, 12)
    for size in sizes[1:]:
        assert size == 1 or seconds(size) <= BATCH_SECONDS * 1.001
    assert max(sizes) <= min(limit, MAX_BATCH)
    # The last ones use the time: one more coalition would not fit, or there may not be more.
    last = sizes[-1]
    assert last in (limit, MAX_BATCH) or last * (seconds(last + 1) / last) > 0.8 * BATCH_SECONDS


def test_the_first_batch_is_small_and_the_next_ones_grow_fast() -> None:
    assert run(BatchSizer(MAX_BATCH), lambda size: 0.001 * size, 5) == [2, 16, 128, 250, 250]
    assert FIRST_BATCH == 2


def test_a_slower_machine_is_followed_at_once() -> None:
    sizer = BatchSizer(MAX_BATCH)
    run(sizer, lambda size: 0.0, 10)
    assert sizer.size == MAX_BATCH
    sizer.learn(4_096, 4.096)
    assert sizer.size == 250
    sizer.learn(1, 60.0)
    assert sizer.size == 1


def test_a_small_batch_says_nothing_against_a_large_one() -> None:
    sizer = BatchSizer(MAX_BATCH)
    run(sizer, lambda size: 0.001 * size, 5)
    sizer.learn(1, 0.1)
    assert sizer.size == 250


def test_a_coalition_that_costs_nothing_misleads_by_a_factor_of_eight() -> None:
    sizer = BatchSizer(MAX_BATCH)
    sizer.learn(1, 0.0)
    assert sizer.size == 8


@pytest.mark.parametrize("limit", [0, 1, 5])
def test_memory_limits_a_batch(limit: int) -> None:
    sizer = BatchSizer(limit)
    run(sizer, lambda size: 0.0, 5)
    assert sizer.size == max(1, limit)
