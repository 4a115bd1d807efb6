from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from fedcoin.data.artifacts.tensors import encode_tensors
from fedcoin.data.errors import DataCode, RefusalError
from fedcoin.learning.errors import LearningCode, WorkerError
from fedcoin.learning.evaluation.dense_evaluator import MAX_WEIGHT_BYTES
from fedcoin.learning.evaluation.job import ExampleShare, UtilityJob
from fedcoin.learning.model.aggregation import federated_average
from fedcoin.learning.workers import batch_sizer, jobs
from fedcoin.learning.workers.batch_sizer import BATCH_SECONDS, FIRST_BATCH, MAX_GROWTH
from fedcoin.learning.workers.executors import LocalWorker
from fedcoin.learning.workers.pool import WorkerPool
from fedcoin.v1 import task_pb2
from tests.support.keras_jobs import read_keras_job, write_keras_job
from tests.support.recording_workers import RecordingExecutor
from tests.support.small_models import (
    all_coalitions,
    evaluation,
    mlp_spec,
    random_weights,
    write_job,
)
from tests.support.waiting import until

SPEC = mlp_spec((8, 8), (128,), 10)


@pytest.fixture
async def worker() -> AsyncIterator[WorkerPool]:
    made = WorkerPool()
    await made.start()
    yield made
    await made.stop()


@pytest.fixture
def job(tmp_path: Path) -> UtilityJob:
    base, *updates = (random_weights(SPEC, seed) for seed in range(6))
    x, y = evaluation(SPEC, 360)
    return write_job(tmp_path / "task", SPEC, base, updates, x, y)


UNHURRIED_SECONDS = 600.0
"""With batches of this length, their sizes do not depend on how busy the machine is."""


@pytest.fixture
def long_job(tmp_path: Path) -> UtilityJob:
    """13 clients and 10,000 examples: a coalition takes about a millisecond of one core."""
    return write_job_of_13(tmp_path / "long", 10_000)


def write_job_of_13(folder: Path, examples: int) -> UtilityJob:
    """Write a job of 13 clients."""
    base, *updates = (random_weights(SPEC, seed) for seed in range(14))
    x, y = evaluation(SPEC, examples)
    return write_job(folder, SPEC, base, updates, x, y, job_id=b"long")


async def test_it_answers_as_the_evaluator_does(worker: WorkerPool, job: UtilityJob) -> None:
    await worker.open_job(job)
    counts = await worker.evaluate(job.job_id, all_coalitions(5))
    assert counts.dtype == np.int64
    before = time.process_time()  # CPU time, which other work on the machine does not change.
    expected = jobs.load_evaluator(job).evaluate(all_coalitions(5))
    assert time.process_time() - before < 0.1
    assert abs(counts - expected).max() <= 1


async def test_several_processes_agree_with_one(job: UtilityJob, worker: WorkerPool) -> None:
    pool = WorkerPool(processes=2)
    await pool.start()
    try:
        await asyncio.gather(pool.open_job(job), worker.open_job(job))
        rows = all_coalitions(5)
        one, two = await asyncio.gather(
            worker.evaluate(job.job_id, rows), pool.evaluate(job.job_id, rows)
        )
        assert len(set(pool.pids)) == 2
        assert abs(one - two).max() <= 1
    finally:
        await pool.stop()


async def test_repeats_and_order(worker: WorkerPool, job: UtilityJob) -> None:
    await worker.open_job(job)
    await worker.open_job(job)
    rows = all_coalitions(5)
    counts = await worker.evaluate(job.job_id, rows)
    shuffled = np.random.default_rng(0).integers(0, 32, 3000)
    np.testing.assert_array_equal(
        await worker.evaluate(job.job_id, rows[shuffled]), counts[shuffled]
    )


async def test_jobs_are_opened_and_closed(worker: WorkerPool, job: UtilityJob) -> None:
    rows = all_coalitions(5)
    with pytest.raises(RefusalError) as caught:
        await worker.evaluate(job.job_id, rows)
    assert caught.value.code is LearningCode.UNKNOWN_JOB
    await worker.open_job(job)
    await worker.evaluate(job.job_id, rows)
    await worker.close_job(job.job_id)
    await worker.close_job(job.job_id)
    with pytest.raises(RefusalError):
        await worker.evaluate(job.job_id, rows)
    with pytest.raises(RefusalError) as caught:
        jobs.evaluate(b"nowhere", rows)
    assert caught.value.code is LearningCode.UNKNOWN_JOB


async def test_bad_coalitions(worker: WorkerPool, job: UtilityJob) -> None:
    await worker.open_job(job)
    for bad in (np.ones((2, 4), np.bool_), np.ones((2, 5)), np.ones(5, np.bool_)):
        with pytest.raises(RefusalError) as caught:
            await worker.evaluate(job.job_id, bad)  # type: ignore[arg-type]
        assert caught.value.code is LearningCode.BAD_COALITIONS


async def test_bad_jobs(worker: WorkerPool, job: UtilityJob) -> None:
    job.updates[2].write_bytes(encode_tensors(random_weights(mlp_spec(), 0)))
    with pytest.raises(RefusalError) as caught:
        await worker.open_job(job)
    assert caught.value.code is LearningCode.WRONG_SHAPE
    job.updates[2].write_bytes(b"junk")
    with pytest.raises(RefusalError) as caught:
        await worker.open_job(job)
    assert caught.value.code is DataCode.BAD_TENSOR
    job.updates[2].unlink()
    with pytest.raises(WorkerError, match="FileNotFoundError"):
        await worker.open_job(job)


async def test_a_killed_child_is_replaced(
    worker: WorkerPool, job: UtilityJob, caplog: pytest.LogCaptureFixture
) -> None:
    await worker.open_job(job)
    rows = all_coalitions(5)
    before = await worker.evaluate(job.job_id, rows[:9])
    os.kill(worker.pids[0], signal.SIGKILL)
    after = await worker.evaluate(job.job_id, rows)
    assert len(caplog.records) <= 1  # none when the death is noticed before the call
    np.testing.assert_array_equal(after[:9], before)
    assert abs(after - jobs.load_evaluator(job).evaluate(rows)).max() <= 1


async def test_a_job_with_missing_files_affects_no_other(
    worker: WorkerPool, job: UtilityJob, tmp_path: Path
) -> None:
    base, *updates = (random_weights(SPEC, seed) for seed in range(4))
    x, y = evaluation(SPEC, 20)
    other = write_job(tmp_path / "other", SPEC, base, updates, x, y, job_id=b"other")
    await worker.open_job(other)
    await worker.open_job(job)
    other.base.unlink()
    os.kill(worker.pids[0], signal.SIGKILL)
    assert len(await worker.evaluate(job.job_id, all_coalitions(5))) == 32
    with pytest.raises(RefusalError) as caught:
        await worker.evaluate(b"other", all_coalitions(3))
    assert caught.value.code is LearningCode.UNKNOWN_JOB


async def test_the_time_of_batches_is_bounded(long_job: UtilityJob) -> None:
    executor = RecordingExecutor(2)
    pool = WorkerPool(executor=executor)
    rows = all_coalitions(13)
    try:
        await pool.open_job(long_job)
        times, start = [], 0
        while start < 250:
            size = pool.batch_size(long_job.job_id)
            started = time.monotonic()
            await pool.evaluate(long_job.job_id, rows[start : start + size])
            times.append((size, time.monotonic() - started))
            start += size
        assert executor.sizes == [size for size, _ in times for _ in range(2)]
        # Most of them: another program may have the processor during one of them.
        assert np.median([seconds for _, seconds in times]) < 2 * BATCH_SECONDS
    finally:
        await pool.stop()


async def test_a_request_of_any_length_is_cut_into_batches(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batch_sizer, "BATCH_SECONDS", UNHURRIED_SECONDS)
    executor = RecordingExecutor(2)
    pool = WorkerPool(executor=executor)
    rows = all_coalitions(13)[:250]
    job = write_job_of_13(tmp_path / "short", 200)
    try:
        await pool.open_job(job)
        counts = await pool.evaluate(job.job_id, rows)
        sizes = executor.sizes[::2]
        assert sizes == executor.sizes[1::2]  # both workers count every batch
        assert sizes == [2, 16, 128, 104]
        assert sizes[:2] == [FIRST_BATCH, MAX_GROWTH * FIRST_BATCH]
        expected = jobs.load_evaluator(job).evaluate(rows)
        assert abs(counts - expected).max() <= 1
        await pool.close_job(job.job_id)
        with pytest.raises(RefusalError):
            pool.batch_size(job.job_id)
    finally:
        await pool.stop()


async def test_memory_limits_a_batch(job: UtilityJob, monkeypatch: pytest.MonkeyPatch) -> None:
    limit = jobs.load_evaluator(job).max_coalitions
    assert limit >= MAX_WEIGHT_BYTES // (4 * 1290) > 1
    pool = WorkerPool(executor=(executor := RecordingExecutor()))
    monkeypatch.setattr(LocalWorker, "open_job", open_with_a_limit_of_three)
    try:
        await pool.open_job(job)
        await pool.evaluate(job.job_id, all_coalitions(5))
        assert max(executor.sizes) == 3
        assert sum(executor.sizes) == 32
    finally:
        await pool.stop()


async def open_with_a_limit_of_three(
    worker: LocalWorker, job: UtilityJob, share: ExampleShare
) -> int:
    """Open a job as a worker does whose model is so large that three of them fill the memory."""
    await worker.call(jobs.open_job, job, share)
    return 3


async def test_each_coalition_is_evaluated_once(job: UtilityJob) -> None:
    """Callers that ask at the same time, again, in another order, or after the job was closed."""
    executor = RecordingExecutor(2)
    pool = WorkerPool(executor=executor)
    rows = all_coalitions(5)
    shuffled = np.random.default_rng(0).integers(0, 32, 300)
    try:
        await pool.open_job(job)
        first, second = await asyncio.gather(
            pool.evaluate(job.job_id, rows), pool.evaluate(job.job_id, rows[shuffled])
        )
        np.testing.assert_array_equal(second, first[shuffled])
        await pool.close_job(job.job_id)
        await pool.open_job(job)
        np.testing.assert_array_equal(await pool.evaluate(job.job_id, rows[::-1]), first[::-1])
        np.testing.assert_array_equal(pool.recall(job.job_id, rows), first)
        times = executor.count_coalitions()
        assert len(times) == 32
        assert set(times.values()) == {2}  # by each of the two workers, on its examples
        await pool.forget_job(job.job_id)
        with pytest.raises(KeyError):
            pool.recall(job.job_id, rows)
        await pool.open_job(job)
        np.testing.assert_array_equal(await pool.evaluate(job.job_id, rows), first)
        assert set(executor.count_coalitions().values()) == {4}
    finally:
        await pool.stop()


async def test_known_coalitions_wait_for_no_turn(long_job: UtilityJob) -> None:
    pool = WorkerPool(executor=(executor := RecordingExecutor()))
    rows = all_coalitions(13)
    try:
        await pool.open_job(long_job)
        known = await pool.evaluate(long_job.job_id, rows[:50])
        asked = asyncio.create_task(pool.evaluate(long_job.job_id, rows))
        num_batches = len(executor.batches)
        await until(lambda: len(executor.batches) > num_batches)  # a batch is being evaluated
        num_batches = len(executor.batches)
        np.testing.assert_array_equal(await pool.evaluate(long_job.job_id, rows[:50]), known)
        assert len(executor.batches) == num_batches
        assert not asked.done()
        asked.cancel()
    finally:
        await pool.stop()


async def test_callers_take_turns(long_job: UtilityJob) -> None:
    """A short request is answered between the batches of a long one."""
    pool = WorkerPool(executor=(executor := RecordingExecutor()))
    rows = all_coalitions(13)
    try:
        await pool.open_job(long_job)
        asked = asyncio.create_task(pool.evaluate(long_job.job_id, rows))
        await until(lambda: len(executor.batches) > 2)
        num_batches = len(executor.batches)
        await pool.evaluate(long_job.job_id, rows[-1:])
        assert len(executor.batches) <= num_batches + 2
        assert not asked.done()
        asked.cancel()
    finally:
        await pool.stop()


async def test_counts_are_bounded(job: UtilityJob, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batch_sizer, "BATCH_SECONDS", UNHURRIED_SECONDS)
    pool = WorkerPool(executor=(executor := RecordingExecutor()), max_counts=8)
    rows = all_coalitions(5)
    try:
        await pool.open_job(job)
        first = await pool.evaluate(job.job_id, rows)
        assert sum(executor.sizes) == 32
        np.testing.assert_array_equal(await pool.evaluate(job.job_id, rows[-8:]), first[-8:])
        assert sum(executor.sizes) == 32
        np.testing.assert_array_equal(await pool.evaluate(job.job_id, rows), first)
        assert sum(executor.sizes) == 56
    finally:
        await pool.stop()


async def test_a_child_killed_in_the_middle(long_job: UtilityJob) -> None:
    pool = WorkerPool(executor=(executor := RecordingExecutor()))
    rows = all_coalitions(13)[:160]
    expected = jobs.load_evaluator(long_job).evaluate(rows)
    try:
        await pool.open_job(long_job)
        first = pool.pids
        asked = asyncio.create_task(pool.evaluate(long_job.job_id, rows))
        await until(lambda: len(executor.batches) > 1)
        assert not asked.done()
        os.kill(pool.pids[0], signal.SIGKILL)
        # Batches are sized by time, and a coalition alone in its batch is summed in another order
        # than among others, which may change one answer.
        assert abs(await asked - expected).max() <= 1
        assert pool.pids != first
    finally:
        await pool.stop()


async def test_a_child_killed_at_its_start(caplog: pytest.LogCaptureFixture) -> None:
    pool = WorkerPool()
    starting = asyncio.create_task(pool.start())
    try:
        await until(lambda: pool.pids[0], "there is a child")
        first = pool.pids[0]
        os.kill(first, signal.SIGKILL)
        await starting
        assert pool.pids[0] != first
        (record,) = caplog.records
        assert "another worker takes over at its start" in record.getMessage()
    finally:
        await pool.stop()


async def test_dying_twice_names_the_batch(
    worker: WorkerPool, job: UtilityJob, monkeypatch: pytest.MonkeyPatch
) -> None:
    await worker.open_job(job)
    monkeypatch.setattr(jobs, "evaluate", Deadly())
    with pytest.raises(WorkerError, match=r"died on 2 coalitions of job 6a6f62"):
        await worker.evaluate(job.job_id, all_coalitions(5))


class Deadly:
    """Kills the process that unpickles it."""

    def __call__(self, *_: object) -> None:
        raise AssertionError("called in the parent")

    def __reduce__(self) -> tuple[object, ...]:
        return os.abort, ()


@pytest.mark.slow
async def test_a_killed_child_with_a_model_of_keras(
    tmp_path: Path, worker: WorkerPool, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = Path(tmp_path / "keras")
    await worker.run("while making a model", write_keras_job, made)
    job = read_keras_job(made)
    await worker.open_job(job)
    rows = all_coalitions(3)
    before = await worker.evaluate(job.job_id, rows)
    await worker.forget_job(job.job_id)
    await worker.open_job(job)
    asked = asyncio.create_task(worker.evaluate(job.job_id, rows))
    os.kill(worker.pids[0], signal.SIGKILL)
    np.testing.assert_array_equal(await asked, before)
    await worker.forget_job(job.job_id)
    await worker.open_job(job)
    monkeypatch.setattr(jobs, "evaluate", Deadly())
    with pytest.raises(WorkerError, match=r"died on 2 coalitions of job 6b65726173"):
        await worker.evaluate(job.job_id, rows)


async def test_a_cancelled_request_ends_at_once(long_job: UtilityJob) -> None:
    worker = WorkerPool(processes=2)
    await worker.start()
    await worker.open_job(long_job)
    rows = all_coalitions(13)
    asked = asyncio.create_task(worker.evaluate(long_job.job_id, rows))
    await asyncio.sleep(0.1)
    assert not asked.done()
    began = time.monotonic()
    asked.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asked
    # All coalitions would take seconds.
    assert time.monotonic() - began < 2
    # A cancelled request delays neither another caller nor the end.
    assert len(await worker.evaluate(long_job.job_id, rows[:10])) == 10
    asked = asyncio.create_task(worker.evaluate(long_job.job_id, rows))
    await asyncio.sleep(0.05)
    began = time.monotonic()
    await worker.stop()
    assert time.monotonic() - began < 2
    with pytest.raises(WorkerError):
        await asked


async def test_the_children_share_the_evaluation_set(job: UtilityJob) -> None:
    halves = [jobs.load_evaluator(job, ExampleShare(index, 2)) for index in range(2)]
    rows = all_coalitions(5)
    counts = sum(half.evaluate(rows) for half in halves)
    whole = jobs.load_evaluator(job).evaluate(rows)
    np.testing.assert_array_equal(counts, whole)
    assert all(half.evaluate(rows).sum() > 0 for half in halves)


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="reads /proc")
async def test_no_child_ever_holds_the_whole_evaluation_set(tmp_path: Path) -> None:
    spec = mlp_spec((64, 64), (4,), 3)
    base, *updates = (random_weights(spec, seed) for seed in range(3))
    x, y = evaluation(spec, 6_000)
    job = write_job(tmp_path, spec, base, updates, x, y)
    worker = WorkerPool(processes=2)
    await worker.start()
    try:
        before = [peak_rss(pid) for pid in worker.pids]
        await worker.open_job(job)
        counts = await worker.evaluate(job.job_id, all_coalitions(2))
        grown = [peak_rss(pid) - size for pid, size in zip(worker.pids, before, strict=True)]
    finally:
        await worker.stop()
    assert counts.sum() > 0
    # Half of the request, and a few batches.
    assert max(grown) < 0.8 * x.nbytes


def peak_rss(pid: int) -> int:
    """Return the peak memory of a process in bytes."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) << 10 for line in lines if line.startswith("VmHWM"))


async def test_a_stopped_worker_says_so(job: UtilityJob) -> None:
    worker = WorkerPool()
    await worker.start()
    await worker.open_job(job)
    await worker.stop()
    with pytest.raises(WorkerError, match="stopped"):
        await worker.evaluate(job.job_id, all_coalitions(5))


async def test_check_and_count(worker: WorkerPool, job: UtilityJob, tmp_path: Path) -> None:
    updates = [random_weights(SPEC, seed) for seed in range(1, 6)]
    aggregate = tmp_path / "aggregate"
    aggregate.write_bytes(encode_tensors(federated_average(updates, job.num_samples)))
    await worker.check_job(job, aggregate, 360)
    for size, path, code in (
        (361, aggregate, LearningCode.WRONG_SIZE),
        (360, job.base, LearningCode.WRONG_AGGREGATE),
    ):
        with pytest.raises(RefusalError) as caught:
            await worker.check_job(job, path, size)
        assert caught.value.code is code
    with pytest.raises(RefusalError) as caught:
        await worker.check_job(replace(job, num_samples=(1, 2, 3, 4, 0)), aggregate, 360)
    assert caught.value.code is LearningCode.BAD_SAMPLES
    await worker.open_job(job)
    grand = await worker.evaluate(job.job_id, np.ones((1, 5), np.bool_))
    assert abs(await worker.measure_model(job.model, aggregate, job.evaluation) - grand[0]) <= 1


async def test_what_rounding_decides_is_explained(worker: WorkerPool, tmp_path: Path) -> None:
    """Two classes whose weights are equal tie; large weights that cancel leave rounding errors."""
    spec = mlp_spec()
    plain = random_weights(spec, 0)
    kernel, bias = list(plain)[-2:]
    tied = {**plain, kernel: plain[kernel].copy(), bias: plain[bias].copy()}
    tied[kernel][:, 1], tied[bias][:2] = tied[kernel][:, 0], 100
    examples = evaluation(spec, 40)
    job = write_job(tmp_path, spec, plain, [tied], *examples)
    assert await worker.explain_rounding(job.model, job.base, job.evaluation) == ""
    found = await worker.explain_rounding(job.model, job.updates[0], job.evaluation)
    assert found.startswith("40 of 40 answers are within rounding of a tie")
    loss = task_pb2.UTILITY_LOG_LOSS
    assert await worker.explain_rounding(job.model, job.updates[0], job.evaluation, loss) == ""
    first, shift = list(plain)[:2]
    cancelling = {**plain, first: plain[first].copy(), kernel: plain[kernel].copy()}
    cancelling[first][:, 1], cancelling[shift] = cancelling[first][:, 0], 0 * plain[shift]
    cancelling[kernel][0], cancelling[kernel][1] = 1e8, -1e8 + 0 * plain[kernel][0]
    job = write_job(tmp_path / "cancelling", spec, plain, [cancelling], *examples)
    for utility in (task_pb2.UTILITY_ACCURACY, loss):
        found = await worker.explain_rounding(job.model, job.updates[0], job.evaluation, utility)
        assert "with the last digits of the weights" in found


def test_a_worker_has_processes_and_threads() -> None:
    with pytest.raises(ValueError):
        WorkerPool(processes=0)
    with pytest.raises(ValueError):
        WorkerPool(threads=0)
