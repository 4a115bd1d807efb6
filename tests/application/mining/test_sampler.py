from __future__ import annotations

import zlib
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from fedcoin.application.mining.progress import Progress
from fedcoin.application.mining.sampler import Samples, gather
from fedcoin.incentive.proof.sampling_plan import SamplingPlan
from fedcoin.learning.evaluation.job import Coalitions, Counts
from fedcoin.learning.workers.batch_sizer import MAX_BATCH, BatchSizer
from fedcoin.v1 import task_pb2

EXACT = task_pb2.SCHEDULE_EXACT
PERMUTATION = task_pb2.SCHEDULE_PERMUTATION
ANTITHETIC = task_pb2.SCHEDULE_ANTITHETIC
SIZE = 1_000
FOREVER = 10**15


def make_plan(schedule: int, clients: int = 6, **changes: Any) -> SamplingPlan:
    given = {
        "schedule": schedule,
        "clients": clients,
        "evaluation_size": SIZE,
        "truncation": 0,
        "max_samples": 0 if schedule == EXACT else 500,
        "task_id": b"t" * 32,
        "public_key": b"k" * 32,
    }
    return SamplingPlan(**{**given, **changes})


def counts_of(coalitions: Coalitions) -> Counts:
    """A saturating game with a little noise: few clients reach nearly the whole value."""
    level = 1 - 0.5 ** coalitions.sum(axis=1)
    noise = [zlib.crc32(np.packbits(row).tobytes()) % 9 for row in coalitions]
    return (900 * level + np.array(noise)).astype(np.int64)


@dataclass
class Evaluator:
    """Moves a clock, sizes batches as a worker pool does, and records the requests."""

    ms_each: int = 0
    now_ms: int = 0
    requests: list[int] = field(default_factory=list)
    sizer: BatchSizer = field(default_factory=lambda: BatchSizer(MAX_BATCH))

    @property
    def batch_size(self) -> int:
        return self.sizer.size

    async def __call__(self, coalitions: Coalitions) -> Counts:
        self.requests.append(len(coalitions))
        done = 0
        while done < len(coalitions):
            size = min(self.batch_size, len(coalitions) - done)
            self.now_ms += self.ms_each * size
            self.sizer.learn(size, self.ms_each * size / 1_000)
            done += size
        return counts_of(coalitions)

    def clock(self) -> int:
        return self.now_ms


def direct(plan: SamplingPlan, count: int) -> NDArray[Any]:
    """Evaluate the same samples one coalition after another."""
    rows = np.stack([counts_of(plan.coalitions(leaf)) for leaf in range(count)])
    ends = counts_of(np.array([[True] * plan.clients, [False] * plan.clients]))
    return plan.fill_implied(range(count), rows, int(ends[0]), int(ends[1]))


@pytest.mark.parametrize("clients", [1, 2, 6, 9])
async def test_exact_evaluates_everything_once(clients: int) -> None:
    plan, utility = make_plan(EXACT, clients), Evaluator()
    samples = await gather(plan, utility, 1, utility.clock, FOREVER)
    assert samples is not None
    assert (samples.utilities == direct(plan, len(samples.utilities))).all()
    # The empty and the grand coalition first, then all others.
    assert sum(utility.requests) == 1 << clients


async def test_exact_without_time_is_nothing() -> None:
    utility = Evaluator(ms_each=10)
    assert await gather(make_plan(EXACT, 9), utility, 1, utility.clock, 3_000) is None
    assert utility.now_ms < 5_000


@pytest.mark.parametrize("truncation", [0, 20, 300])
@pytest.mark.parametrize("schedule", [PERMUTATION, ANTITHETIC])
async def test_samples_are_what_one_would_get_one_by_one(schedule: int, truncation: int) -> None:
    plan = make_plan(schedule, 12, truncation=truncation)
    utility = Evaluator()
    samples = await gather(plan, utility, 5_000_000, utility.clock, FOREVER)
    assert samples is not None
    count = len(samples.utilities)
    assert 32 <= count <= 500
    assert (samples.utilities == direct(plan, count)).all()
    everything = count * plan.leaf_length
    asked = sum(utility.requests)
    if truncation:
        # Truncated coalitions are not requested, except in the stage that truncates.
        implied = plan.mask_implied(range(count), samples.utilities, samples.grand).sum()
        assert everything - implied <= asked <= everything - 0.7 * implied
    else:
        assert asked == 2 + everything - count * (plan.leaf_length // 12)


@pytest.mark.parametrize("schedule", [PERMUTATION, ANTITHETIC])
async def test_smaller_difficulty_takes_more_samples(schedule: int) -> None:
    counts = []
    for difficulty in (200_000_000, 80_000_000 if schedule == PERMUTATION else 900_000, 1):
        utility = Evaluator()
        samples = await gather(make_plan(schedule), utility, difficulty, utility.clock, FOREVER)
        assert samples is not None
        counts.append(len(samples.utilities))
    assert counts[0] < counts[1] < counts[2] == 500


async def test_antithetic_ends_on_whole_cycles() -> None:
    utility = Evaluator()
    plan = make_plan(ANTITHETIC, max_samples=100_000)
    samples = await gather(plan, utility, 3_000_000, utility.clock, FOREVER)
    assert samples is not None
    assert len(samples.utilities) % 6 == 0


async def test_time_ends_sampling() -> None:
    utility = Evaluator(ms_each=1)
    plan = make_plan(PERMUTATION, max_samples=100_000)
    samples = await gather(plan, utility, 1, utility.clock, 5_000)
    assert samples is not None
    assert 0 < len(samples.utilities) < 1_100
    assert 5_000 <= utility.now_ms <= 5_600
    # Each request is what fits into a batch of a quarter of a second.
    assert 200 < max(utility.requests) <= 250


async def test_what_is_known_is_kept_and_gone_on_from() -> None:
    plan, utility = make_plan(PERMUTATION), Evaluator()
    first = await gather(plan, utility, 200_000_000, utility.clock, FOREVER)
    assert first is not None
    asked = sum(utility.requests)
    same = await gather(plan, utility, 400_000_000, utility.clock, FOREVER, first)
    assert same is not None
    assert (same.utilities == first.utilities).all()
    assert sum(utility.requests) == asked
    more = await gather(plan, utility, 80_000_000, utility.clock, FOREVER, first)
    assert more is not None
    assert len(more.utilities) > len(first.utilities)
    assert (more.utilities == direct(plan, len(more.utilities))).all()
    late = await gather(plan, utility, 1, utility.clock, utility.now_ms, first)
    assert late is not None
    assert len(late.utilities) == len(first.utilities)


async def test_nothing_in_no_time() -> None:
    utility = Evaluator()
    assert await gather(make_plan(PERMUTATION), utility, 1, utility.clock, 0) is None


async def test_progress_is_logged() -> None:
    told: list[Progress] = []
    utility = Evaluator(ms_each=1)
    plan = make_plan(PERMUTATION, max_samples=2_000)
    samples = await gather(plan, utility, 60_000_000, utility.clock, FOREVER, report=told.append)
    assert samples is not None
    ended = utility.now_ms
    assert [progress.samples for progress in told] == sorted({p.samples for p in told})
    assert told[0].samples == 0
    assert told[0].standard_error_nano == float("inf")
    assert told[0].expected == plan.sample_limit
    errors = [progress.standard_error_nano for progress in told]
    assert 20_000_000 < errors[-1] < errors[len(errors) // 2] < float("inf")
    late = told[2 * len(told) // 3]
    assert late.expected == pytest.approx(len(samples.utilities), rel=0.5)
    assert late.seconds_left == pytest.approx(
        ended / 1000 * (1 - late.samples / len(samples.utilities)), rel=1.0, abs=0.5
    )
    assert "samples, standard error 0." in str(late)
    assert "about" in str(told[0])


async def test_progress_of_what_is_exact_and_of_what_the_deadline_ends() -> None:
    told: list[Progress] = []
    utility = Evaluator(ms_each=10)
    plan = make_plan(EXACT, 9)
    await gather(plan, utility, 1, utility.clock, FOREVER, report=told.append)
    assert {progress.expected for progress in told} == {plan.fixed_samples}
    assert told[-1].seconds_left == pytest.approx(5.12 * (1 - told[-1].samples / 64), abs=0.6)
    assert told[-1].standard_error_nano == 0
    told.clear()
    plan = make_plan(PERMUTATION, max_samples=100_000)
    utility = Evaluator(ms_each=10)
    await gather(plan, utility, 1, utility.clock, 8_000, report=told.append)
    assert told[-1].seconds_left <= 8


def test_samples_of_nothing_have_their_shape() -> None:
    empty = Samples(np.empty((0, 6), dtype=np.int64), 5, 1)
    plan = make_plan(PERMUTATION)
    assert plan.contributions([], empty.utilities, 5, 1).shape == (0, 6)


@pytest.mark.parametrize("difficulty", [60_000_000, 30_000_000])
@pytest.mark.parametrize("schedule", [PERMUTATION, ANTITHETIC])
async def test_honest_miners_have_at_least_a_quarter_of_each_others_samples(
    schedule: int, difficulty: int
) -> None:
    """Below a quarter, a vector would not count, whatever the miners' speeds and luck."""
    counts = []
    for number in range(12):
        utility = Evaluator(ms_each=(1, 4, 20, 100)[number % 4])
        plan = make_plan(schedule, public_key=bytes([number]) * 32, max_samples=5_000)
        samples = await gather(plan, utility, difficulty, utility.clock, FOREVER)
        assert samples is not None
        counts.append(len(samples.utilities))
    assert max(counts) < 5_000
    assert 4 * min(counts) > max(counts)
