"""What a task asks of a miner, what it offers for it, and the deposit that it takes."""

from __future__ import annotations

from typing import Any

import pytest

from fedcoin.contract.tasks.task_pricing import (
    BASE_WORK,
    compute_offer,
    compute_task_deposit,
    compute_work,
)
from fedcoin.data.messages.parameters import Parameters
from fedcoin.incentive.proof.sampling_plan import SamplingPlan
from fedcoin.v1 import task_pb2
from fedcoin.v1.task_pb2 import OpenTask

HOUR_MS = 3_600_000


def plan(schedule: int, clients: int = 5, max_samples: int = 0, size: int = 1_000) -> SamplingPlan:
    given: dict[str, Any] = {
        "schedule": schedule,
        "clients": clients,
        "evaluation_size": size,
        "truncation": 0,
        "max_samples": max_samples,
        "task_id": b"t" * 32,
        "public_key": b"k" * 32,
    }
    return SamplingPlan(**given)


def test_exact_work_is_all_coalitions_by_all_examples() -> None:
    exact = plan(task_pb2.SCHEDULE_EXACT)
    assert compute_work(exact, 1) == compute_work(exact, 10**9)
    evaluations = exact.evaluations(exact.sample_limit)
    assert 2**5 - 2 <= evaluations <= 2**5
    assert compute_work(exact, 1) == BASE_WORK + evaluations * 1_000


@pytest.mark.parametrize(
    ("difficulty_nano", "samples"),
    [(20_000_000, 22_500), (100_000_000, 900), (10**11, 32), (1_000_000, 100_000)],
)
def test_sampled_work_grows_as_the_square_of_d_shrinks(difficulty_nano: int, samples: int) -> None:
    sampled = plan(task_pb2.SCHEDULE_PERMUTATION, max_samples=100_000)
    expected = BASE_WORK + sampled.evaluations(samples) * 1_000
    assert compute_work(sampled, difficulty_nano) == expected


def test_a_task_of_one_example_does_not_offer_most() -> None:
    tiny = compute_work(plan(task_pb2.SCHEDULE_EXACT, clients=1, size=1), 1)
    honest = compute_work(plan(task_pb2.SCHEDULE_EXACT, clients=12, size=10_000), 1)
    assert compute_offer(1_000, tiny) == 99
    # An honest price of 2 FDC for 41 million evaluations outbids ten of the tiny ones together.
    assert compute_offer(200_000_000, honest) > 10 * compute_offer(1_000_000, tiny)


def test_the_deposit_grows_with_windows_and_work() -> None:
    rules = Parameters(task_deposit=100)
    terms = OpenTask(commit_window_ms=10_000, reveal_window_ms=10_000, max_attempts=2)
    assert compute_task_deposit(rules, terms, BASE_WORK) == 200
    assert compute_task_deposit(rules, terms, 10**9) == 200
    assert compute_task_deposit(rules, terms, 10**9 + 1) == 300
    terms = OpenTask(commit_window_ms=HOUR_MS, reveal_window_ms=HOUR_MS, max_attempts=16)
    assert compute_task_deposit(rules, terms, BASE_WORK) == 100 * (16 * 3 + 1)
    terms.commit_window_ms += 1
    assert compute_task_deposit(rules, terms, BASE_WORK) == 100 * (16 * 3 + 2)
