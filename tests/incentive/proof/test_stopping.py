"""The standard error of a miner's samples, and when a miner stops."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from fedcoin.incentive.proof.stopping import compute_standard_error_nano, has_enough_samples
from fedcoin.v1 import task_pb2
from tests.support.mined_samples import Mined, make_plan, mine

EXACT = task_pb2.SCHEDULE_EXACT
PERMUTATION = task_pb2.SCHEDULE_PERMUTATION
ANTITHETIC = task_pb2.SCHEDULE_ANTITHETIC


def vectors_of(mined: Mined) -> NDArray[Any]:
    rows = mined.utilities
    return mined.plan.contributions(range(len(rows)), rows, mined.grand, mined.empty)


@pytest.mark.parametrize(
    ("schedule", "samples"),
    [(PERMUTATION, 80), (ANTITHETIC, 41), (ANTITHETIC, 120), (ANTITHETIC, 127)],
)
def test_the_standard_error_is_the_spread_between_miners(schedule: int, samples: int) -> None:
    plan = make_plan(schedule, 6)
    errors, values = [], []
    for miner in range(60):
        mined = mine(replace(plan, public_key=bytes([miner]) * 32), samples=samples)
        vectors = vectors_of(mined)
        errors.append(compute_standard_error_nano(mined.plan, vectors))
        values.append(mined.plan.shapley_nano(samples, vectors.sum(axis=0).tolist()))
    spread = np.sqrt(np.var(np.array(values, dtype=float), axis=0, ddof=1).sum())
    # It is never much too small, and too large only with few cycles to compare.
    assert np.median(errors) > 0.85 * spread
    if samples != 41:
        assert np.median(errors) < 1.25 * spread


def test_exact_is_enough_when_it_is_all_there() -> None:
    mined = mine(make_plan(EXACT, 7))
    vectors = vectors_of(mined)
    assert compute_standard_error_nano(mined.plan, vectors) == 0
    assert has_enough_samples(mined.plan, vectors, 1)
    assert not has_enough_samples(mined.plan, vectors[:-1], 10**11)


def test_sampling_stops_at_a_third_of_the_difficulty() -> None:
    mined = mine(make_plan(PERMUTATION, 6), samples=100)
    vectors = vectors_of(mined)
    error = compute_standard_error_nano(mined.plan, vectors)
    assert has_enough_samples(mined.plan, vectors, int(3 * error) + 1)
    assert not has_enough_samples(mined.plan, vectors, int(3 * error) - 1)


def test_few_samples_are_never_enough_but_the_most_are() -> None:
    mined = mine(make_plan(PERMUTATION, 6, max_samples=33), samples=33)
    vectors = vectors_of(mined)
    assert not has_enough_samples(mined.plan, vectors[:31], 10**11)
    assert has_enough_samples(mined.plan, vectors[:32], 10**11)
    assert not has_enough_samples(mined.plan, vectors[:32], 0)
    assert has_enough_samples(mined.plan, vectors, 0)
    assert compute_standard_error_nano(mined.plan, vectors[:1]) == float("inf")
