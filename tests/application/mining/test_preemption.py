"""Tasks that make way for better offers and for audits, in the miners' own loop."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from fedcoin.application.mining import miner as mining
from fedcoin.learning.evaluation.job import Coalitions, Counts
from fedcoin.learning.workers import jobs
from fedcoin.learning.workers.executors import LocalWorker
from fedcoin.learning.workers.pool import WorkerPool
from fedcoin.v1 import block_pb2
from tests.support.genesis import FDC
from tests.support.mining_campaign import MiningCampaign
from tests.support.mining_site import MiningSite
from tests.support.recording_workers import RecordingExecutor
from tests.support.waiting import LOADED_SECONDS, until

COMMIT = block_pb2.TASK_PHASE_COMMIT
SETTLED = block_pb2.TASK_PHASE_SETTLED
CLIENTS = 12
HOUR_MS = 3_600_000


class SlowExecutor(RecordingExecutor):
    """Real workers that take longer for one job, as they do for a larger model."""

    slow_job = b""

    def create_worker(self) -> LocalWorker:
        worker = super().create_worker()
        call = worker.call

        async def slow_call(function: Callable[..., Any], *arguments: Any) -> Any:
            if function is jobs.evaluate and arguments[0] == self.slow_job:
                await asyncio.sleep(0.002 * len(arguments[1]))
            return await call(function, *arguments)

        worker.call = slow_call  # type: ignore[method-assign]
        return worker


class Duel:
    """Three miners with room for one task: a long one, and a short one that offers more."""

    def __init__(self, here: MiningSite, executor: SlowExecutor) -> None:
        self.here, self.executor = here, executor
        self.better = MiningCampaign(here.chain, here.store, 4, budget=10 * FDC)
        self.long_id = self.better_id = b""

    async def open_long(self) -> None:
        """Open the long task, and wait until it is being sampled."""
        await self.here.job.open_campaign()
        self.here.start(*self.here.chain.miners)
        opening = await self.here.job.open_task(commit_window_ms=HOUR_MS, reveal_window_ms=HOUR_MS)
        self.long_id = self.executor.slow_job = opening.hash
        await until(lambda: len(self.executor.batches) > 3)

    async def open_better(self) -> None:
        """Open the task that offers more."""
        await self.better.open_campaign()
        self.better_id = (await self.better.open_task()).hash

    def largest_batch(self) -> int:
        return max(len(rows) for job_id, rows in self.executor.batches if job_id == self.long_id)

    def num_batches(self, task_id: bytes) -> int:
        return sum(job_id == task_id for job_id, _ in self.executor.batches)


@pytest_asyncio.fixture
async def duel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Duel]:
    monkeypatch.setattr(mining, "MAX_TASKS", 1)
    executor = SlowExecutor()
    worker = WorkerPool(executor=executor)
    here = MiningSite(tmp_path, worker, clients=CLIENTS)
    here.job.budget = FDC
    try:
        yield Duel(here, executor)
    finally:
        await here.close()
        await worker.stop()


async def test_a_better_offer_is_mined_first_and_the_other_task_goes_on(
    duel: Duel, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    await duel.open_long()
    chain = duel.here.chain
    await duel.open_better()
    # Every miner commits to, opens and reveals the better task, each of them audited, while the
    # long one waits for its turn or for its next batch.
    running = asyncio.create_task(chain.run(LOADED_SECONDS))
    await until(lambda: chain.task(duel.better_id).phase == SETTLED)
    assert caplog.text.count("makes way for task") == 3
    long_task = chain.task(duel.long_id)
    assert (long_task.phase, chain.miner_states(duel.long_id)) == (COMMIT, [])
    assert len(chain.miner_states(duel.better_id)) == 3
    assert duel.num_batches(duel.long_id) * 2 < 2**CLIENTS
    # Nobody gave the long task up: it goes on with what was evaluated, and is settled.
    await running
    assert chain.task(duel.long_id).phase == SETTLED
    assert all(record.inlier for record in chain.miner_states(duel.long_id))
    # Only a batch that was under way when a miner let go of the task was computed in vain.
    times = duel.executor.count_coalitions()
    assert sum(times.values()) - len(times) <= 3 * duel.largest_batch()
    assert 6 * duel.largest_batch() < 2**CLIENTS


async def test_an_offer_that_is_only_a_little_better_waits(
    duel: Duel, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    duel.better.budget = 3 * FDC // 2
    await duel.open_long()
    await duel.open_better()
    assert duel.here.chain.task(duel.better_id).offer > duel.here.chain.task(duel.long_id).offer
    before = duel.num_batches(duel.long_id)
    await until(lambda: duel.num_batches(duel.long_id) > before + 3)
    assert duel.num_batches(duel.better_id) == 0
    assert "makes way" not in caplog.text


async def test_audits_come_before_mining_in_the_same_workers(
    duel: Duel, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Reveals of a short task are audited while the long one is being sampled."""
    await duel.open_long()
    chain, here = duel.here.chain, duel.here
    await duel.open_better()
    meanwhile: list[int] = []
    evaluate = here.worker.worker.evaluate

    async def noting(job_id: bytes, coalitions: Coalitions, *, urgent: bool = False) -> Counts:
        before = duel.num_batches(duel.long_id)
        counts = await evaluate(job_id, coalitions, urgent=urgent)
        if urgent:
            meanwhile.append(duel.num_batches(duel.long_id) - before)
        return counts

    monkeypatch.setattr(here.worker.worker, "evaluate", noting)
    await chain.run(LOADED_SECONDS)
    # Of the long task's batches, at most the one under way and those in line before the audit.
    assert meanwhile
    assert max(meanwhile) <= len(chain.miners)
    assert chain.task(duel.better_id).phase == chain.task(duel.long_id).phase == SETTLED
