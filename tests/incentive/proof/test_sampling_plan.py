"""Plans: ranges, utilities that the schedule defines, and Shapley values in nano-utility."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedcoin.data.errors import RefusalError
from fedcoin.incentive.errors import IncentiveCode
from fedcoin.incentive.proof.sampling_plan import SamplingPlan, build_plan
from fedcoin.incentive.rounding import round_half_up
from fedcoin.v1 import task_pb2
from tests.support.mined_samples import make_plan, mine

EXACT = task_pb2.SCHEDULE_EXACT
PERMUTATION = task_pb2.SCHEDULE_PERMUTATION
ANTITHETIC = task_pb2.SCHEDULE_ANTITHETIC
GOOD: dict[str, Any] = {
    "schedule": PERMUTATION,
    "clients": 5,
    "evaluation_size": 100,
    "truncation": 0,
    "max_samples": 10,
    "task_id": b"t" * 32,
    "public_key": b"k" * 32,
}


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"clients": 0}, IncentiveCode.BAD_PLAN),
        ({"clients": 1_001}, IncentiveCode.BAD_PLAN),
        ({"clients": 10**6}, IncentiveCode.BAD_PLAN),
        ({"schedule": EXACT, "max_samples": 0, "clients": 17}, IncentiveCode.BAD_PLAN),
        ({"schedule": EXACT, "max_samples": 0, "clients": 65}, IncentiveCode.BAD_PLAN),
        ({"schedule": EXACT, "max_samples": 1}, IncentiveCode.BAD_PLAN),
        ({"schedule": EXACT, "max_samples": 0, "truncation": 1}, IncentiveCode.BAD_PLAN),
        ({"schedule": 0}, IncentiveCode.BAD_PLAN),
        ({"schedule": 99}, IncentiveCode.BAD_PLAN),
        ({"evaluation_size": 0}, IncentiveCode.BAD_PLAN),
        ({"evaluation_size": 10**7 + 1}, IncentiveCode.BAD_PLAN),
        ({"truncation": 101}, IncentiveCode.BAD_PLAN),
        ({"max_samples": 0}, IncentiveCode.BAD_PLAN),
        ({"max_samples": 10**6 + 1}, IncentiveCode.BAD_PLAN),
        ({"task_id": b""}, IncentiveCode.MALFORMED),
        ({"public_key": b"k" * 33}, IncentiveCode.MALFORMED),
    ],
)
def test_plans_out_of_range_are_refused(changes: dict[str, Any], code: IncentiveCode) -> None:
    with pytest.raises(RefusalError) as refused:
        SamplingPlan(**{**GOOD, **changes})
    assert refused.value.code is code
    assert refused.value.field in changes


def test_the_plan_of_a_task() -> None:
    terms = task_pb2.OpenTask(
        updates=[task_pb2.SignedUpdate()] * 3,
        evaluation=task_pb2.EvaluationShard(size=50),
        empty_coalition=task_pb2.EMPTY_COALITION_ZERO,
        sampling=task_pb2.Sampling(schedule=ANTITHETIC, max_samples=7, truncation=2),
        utility=task_pb2.UTILITY_ACCURACY,
    )
    plan = build_plan(terms, b"t" * 32, b"k" * 32)
    assert plan == SamplingPlan(ANTITHETIC, 3, 50, 2, 7, b"t" * 32, b"k" * 32, True)
    assert plan.fixed_samples is None
    assert (plan.sample_limit, plan.leaf_length) == (7, 3)


def test_exact_has_its_number_of_leaves() -> None:
    plan = SamplingPlan(**{**GOOD, "schedule": EXACT, "clients": 8, "max_samples": 0})
    assert plan.fixed_samples == plan.sample_limit == 64
    assert plan.leaf_length == 4


@pytest.mark.parametrize("schedule", [EXACT, PERMUTATION, ANTITHETIC])
@pytest.mark.parametrize("clients", [1, 2, 6, 8])
def test_values_add_up_to_the_grand_less_the_empty_coalition(schedule: int, clients: int) -> None:
    mined = mine(make_plan(schedule, clients, size=297), samples=13)
    plan, count = mined.plan, len(mined.utilities)
    checked = plan.check_utilities(range(count), mined.utilities.tolist(), mined.grand, mined.empty)
    vectors = plan.contributions(range(count), checked, mined.grand, mined.empty)
    total = vectors.sum(axis=0).tolist()
    assert sum(total) == plan.denominator(count) * (mined.grand - mined.empty)
    values = plan.shapley_nano(count, total)
    assert sum(values) == round_half_up((mined.grand - mined.empty) * 10**9, 297)


@given(st.lists(st.integers(-(10**13), 10**13), min_size=1, max_size=30), st.integers(1, 1_000))
def test_values_are_within_one_nano_of_the_fraction(total: list[int], samples: int) -> None:
    plan = SamplingPlan(**{**GOOD, "clients": len(total), "max_samples": 1_000})
    values = plan.shapley_nano(samples, total)
    whole = samples * 100
    assert sum(values) == round_half_up(sum(total) * 10**9, whole)
    for value, part in zip(values, total, strict=True):
        assert abs(value * whole - part * 10**9) <= whole


@pytest.mark.parametrize(
    ("utilities", "code"),
    [
        ([10, 20, 30, 40, 90, 90], IncentiveCode.WRONG_LEAVES),
        ([10, 20, 30, 90], IncentiveCode.WRONG_LEAVES),
        ([], IncentiveCode.WRONG_LEAVES),
        ([10, 20, 30, 101, 90], IncentiveCode.BAD_UTILITY),
        ([10, 20, 30, 2**32 - 1, 90], IncentiveCode.BAD_UTILITY),
        ([10, 20, 30, 40, 89], IncentiveCode.BAD_UTILITY),
        ([10, 88, 30, 40, 90], IncentiveCode.BAD_UTILITY),
    ],
)
def test_leaves_out_of_order_are_refused(utilities: list[int], code: IncentiveCode) -> None:
    plan = SamplingPlan(**{**GOOD, "truncation": 3})
    with pytest.raises(RefusalError) as refused:
        plan.check_utilities([4], [utilities], 90, 10)
    assert refused.value.code is code
    assert "leaf 4" in refused.value.message


def test_exact_leaves_must_agree_with_the_ends() -> None:
    plan = SamplingPlan(**{**GOOD, "schedule": EXACT, "clients": 2, "max_samples": 0})
    plan.check_utilities([0, 3], [[10], [90]], 90, 10)
    for index, utility in ((0, 11), (3, 10)):
        with pytest.raises(RefusalError) as refused:
            plan.check_utilities([index], [[utility]], 90, 10)
        assert refused.value.code is IncentiveCode.BAD_UTILITY


def test_canonical_fills_in_and_keeps_the_rest() -> None:
    plan = make_plan(PERMUTATION, 5, size=100, truncation=5)
    rows = np.array([[10, 96, 0, 0, 0], [1, 2, 3, 4, 0]])
    expected = [[10, 96, 100, 100, 100], [1, 2, 3, 4, 100]]
    assert plan.fill_implied([0, 1], rows, 100, 7).tolist() == expected
    assert rows[0, 2] == 0


@pytest.mark.parametrize("schedule", [EXACT, PERMUTATION, ANTITHETIC])
def test_weight_bound_is_what_a_leaf_can_move(schedule: int) -> None:
    plan = make_plan(schedule, 7, size=40)
    count = plan.fixed_samples or 25
    bound = plan.max_leaf_weight_nano(count)
    rng = np.random.default_rng(3)
    for index in rng.integers(0, count, size=20).tolist():
        pair = rng.integers(0, 2, size=(2, plan.leaf_length)) * 40
        rows = plan.fill_implied([index, index], pair, 30, 5)
        one, two = plan.contributions([index, index], rows, 30, 5)
        moved = np.abs(one - two).max() * 10**9 / (plan.denominator(count) * 40)
        assert moved <= bound
    if schedule != EXACT:
        assert bound == 2 * 10**9 // 25
