"""A worker has a deadline for each request and a limit on its memory; audits come before mining."""

from __future__ import annotations

import asyncio
import re
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from fedcoin.data.errors import RefusalError
from fedcoin.learning.errors import LearningCode, WorkerError
from fedcoin.learning.evaluation.job import ExampleShare, UtilityJob
from fedcoin.learning.workers import jobs
from fedcoin.learning.workers.executors import LocalWorker
from fedcoin.learning.workers.pool import WorkerPool
from fedcoin.learning.workers.process import WorkerBounds, WorkerProcess
from tests.conftest import ReportAttack
from tests.support.recording_workers import RecordingExecutor
from tests.support.small_models import (
    all_coalitions,
    evaluation,
    mlp_spec,
    random_weights,
    write_job,
)

SPEC = mlp_spec((8, 8), (16,), 10)
CLIENTS = 5
MIB = 1 << 20

# Generous: a worker that starts on a busy machine must not count as slow.
REQUEST_SECONDS = 8.0


def make_job(folder: Path, name: str) -> UtilityJob:
    base, *updates = (random_weights(SPEC, seed) for seed in range(CLIENTS + 1))
    x, y = evaluation(SPEC, 360)
    return write_job(folder / name, SPEC, base, updates, x, y, job_id=name.encode())


async def open_slowly(worker: LocalWorker, job: UtilityJob, share: ExampleShare) -> int:
    """Open a job; one that is named slow takes for ever, as a model might that a stranger sent."""
    if job.job_id == b"slow":
        await worker.call(time.sleep, 3600)
    return await worker.call(jobs.open_job, job, share)


@pytest.mark.attack
async def test_a_job_that_takes_too_long_costs_one_deadline_and_is_refused_from_then_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, report_attack: ReportAttack
) -> None:
    monkeypatch.setattr(LocalWorker, "open_job", open_slowly)
    pool = WorkerPool(processes=2, request_seconds=REQUEST_SECONDS)
    quick, slow = make_job(tmp_path, "quick"), make_job(tmp_path, "slow")
    try:
        await pool.open_job(quick)
        counts = await pool.evaluate(quick.job_id, all_coalitions(CLIENTS)[:8])
        began = time.monotonic()
        for _ in range(3):
            with pytest.raises(RefusalError) as caught:
                await pool.open_job(slow)
            assert caught.value.code is LearningCode.OVERDUE
        assert time.monotonic() - began < 2 * REQUEST_SECONDS
        # Both workers are replaced, and have the other job open.
        again = await pool.evaluate(quick.job_id, all_coalitions(CLIENTS))
        np.testing.assert_array_equal(again[:8], counts)
    finally:
        await pool.stop()
    report_attack(
        "a model whose work cannot be told beforehand never ends",
        "a worker without end, again and again",
        "one deadline, once",
    )


async def test_work_that_a_caller_left_behind_does_not_count_as_the_next_callers() -> None:
    pool = WorkerPool(request_seconds=3.0)
    try:
        await pool.start()
        left = asyncio.create_task(pool.run("while asleep", time.sleep, 2.5))
        await asyncio.sleep(0.2)
        left.cancel()
        await pool.run("while asleep", time.sleep, 1.5)
    finally:
        await pool.stop()


async def test_memory_beyond_the_limit_fails_the_request_and_not_the_worker() -> None:
    process = WorkerProcess(bounds=WorkerBounds(512 * MIB))
    await process.start()
    try:
        assert len(await process.call(bytes, 16 * MIB)) == 16 * MIB
        with pytest.raises(WorkerError, match="MemoryError"):
            await process.call(bytes, 1024 * MIB)
        assert await process.call(abs, -1) == 1
    finally:
        await process.stop()


@pytest.mark.slow
async def test_tensorflow_works_within_the_smallest_limit() -> None:
    process = WorkerProcess(bounds=WorkerBounds(1024 * MIB))
    await process.start()
    try:
        await process.call(exec, "import tensorflow as tf; tf.ones((512, 512)) @ tf.ones((512, 9))")
        status = await process.call(eval, "open('/proc/self/status').read()")
    finally:
        await process.stop()
    data = re.search(r"VmData:\s+(\d+) kB", status)
    assert data is not None
    assert int(data[1]) < 700_000


async def test_an_audit_comes_before_the_next_batches_of_mining(tmp_path: Path) -> None:
    pool = WorkerPool(executor=(executor := RecordingExecutor()))
    mined = [make_job(tmp_path, f"mined {number}") for number in range(3)]
    audited = make_job(tmp_path, "audited")
    rows = all_coalitions(CLIENTS)
    try:
        for job in (*mined, audited):
            await pool.open_job(job)
        mining = [asyncio.create_task(_evaluate_one_by_one(pool, job, rows)) for job in mined]
        while len(executor.batches) < 5:  # noqa: ASYNC110 - soon over, and to be seen at once
            await asyncio.sleep(0)
        before = len(executor.batches)
        await pool.evaluate(audited.job_id, rows, urgent=True)
        since = [job_id for job_id, _ in executor.batches[before:]]
        # At most the batch of each task that was under way or in line.
        assert len([job_id for job_id in since if job_id != audited.job_id]) <= len(mined)
        await asyncio.gather(*mining)
    finally:
        await pool.stop()


async def _evaluate_one_by_one(pool: WorkerPool, job: UtilityJob, rows: NDArray[Any]) -> None:
    for row in rows:
        await pool.evaluate(job.job_id, row[None])


async def test_a_check_waits_for_no_batch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(LocalWorker, "open_job", open_slowly)
    pool = WorkerPool(has_own_checker=True)
    try:
        busy = asyncio.create_task(pool.open_job(make_job(tmp_path, "slow")))
        await asyncio.sleep(0.1)
        assert await pool.run("while checking", abs, -3) == 3
        assert not busy.done()
    finally:
        await pool.stop()
    with pytest.raises(WorkerError, match="died"):
        await busy
