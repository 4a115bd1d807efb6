"""Utilities from worker processes: what miners and validators ask.

Each child holds every so-many-th block of the evaluation set and counts the right answers there;
the counts of all children add up. So the set is held once, each client's first layer is computed
once, and all children finish together.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable, Coroutine
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from fedcoin.data.errors import RefusalError
from fedcoin.learning.errors import WorkerError
from fedcoin.learning.evaluation.job import (
    Coalitions,
    Counts,
    ExampleShare,
    UtilityJob,
    check_coalitions,
)
from fedcoin.learning.workers import jobs
from fedcoin.learning.workers.executors import Executor, LocalExecutor, Worker
from fedcoin.learning.workers.process import WorkerDiedError
from fedcoin.v1 import task_pb2

T = TypeVar("T")

REQUEST_SECONDS = 0.25
"""About how long a child works on one request: long enough to be worth the way, short enough
that another caller's turn, or the end, comes soon."""

FIRST_BATCH, MAX_BATCH = 16, 4096
"""Coalitions in a job's first request, and the most in any."""


class WorkerPool:
    """Evaluates coalitions in ``processes`` child processes of ``threads`` threads each.

    Or wherever ``executor`` says. Never imports TensorFlow here, nor in the children for models
    of plain layers. A child that dies is replaced and asked again; one that dies twice over the
    same request is a WorkerFailed that names it. Each child remembers its counts, which answers
    repeats. Several callers may use one worker; their requests take turns.
    """

    def __init__(
        self, *, processes: int = 1, threads: int = 1, executor: Executor | None = None
    ) -> None:
        executor = executor or LocalExecutor(processes, threads)
        count = executor.places
        self._jobs: dict[bytes, UtilityJob] = {}
        self._batches: dict[bytes, int] = {}
        self._slots = [
            _Slot(executor, ExampleShare(index, count), self._jobs) for index in range(count)
        ]
        # What needs files of this machine and no job.
        local = isinstance(executor, LocalExecutor)
        self._here = self._slots[0] if local else _Slot(LocalExecutor(), ExampleShare(0, 1), {})

    @property
    def pids(self) -> tuple[int, ...]:
        """The children's process ids, for those who watch their memory."""
        return tuple(slot.pid for slot in self._slots)

    async def start(self, warm: bool = False) -> None:
        """Start the children; with ``warm`` they import TensorFlow ahead of time."""
        await _together(*(slot.start(warm) for slot in self._slots))

    async def open(self, job: UtilityJob) -> None:
        """Load a job's files in every child and check them; twice is the same as once.

        Raises the Refusals of ``checks`` and ``spec``, and WorkerFailed (a missing file, say).
        """
        if job.job_id in self._jobs:
            return
        what = f"while opening job {job.job_id.hex()[:16]}"
        await _together(*(slot.open(what, job) for slot in self._slots))
        self._jobs[job.job_id] = job

    async def evaluate(self, job_id: bytes, coalitions: Coalitions) -> Counts:
        """Right answers (int64, shape (m,)) of each coalition (bool, shape (m, n)).

        Raises Refusal UNKNOWN_JOB, BAD_COALITIONS; WorkerFailed when a child died twice.
        """
        job = self._jobs.get(job_id)
        if job is None:
            raise jobs.unknown_job_error(job_id)
        rows = check_coalitions(coalitions, len(job.updates))
        counts = np.zeros(len(rows), np.int64)
        await _together(
            *(self._evaluate_batches(slot, job_id, rows, counts) for slot in self._slots)
        )
        return counts

    async def close_job(self, job_id: bytes) -> None:
        """Forget a job; an unknown one is no error."""
        self._batches.pop(job_id, None)
        if self._jobs.pop(job_id, None) is None:
            return
        what = f"while closing job {job_id.hex()[:16]}"
        await _together(*(slot.ask(what, jobs.close_job, job_id) for slot in self._slots))

    async def check(self, job: UtilityJob, aggregate: Path, evaluation_size: int) -> None:
        """``checks.check_task_files`` on a job's files, in a child: FedAvg included."""
        what = f"while checking job {job.job_id.hex()[:16]}"
        await self._here.ask(what, jobs.check_job, job, aggregate, evaluation_size)

    async def count(self, model: Path, weights: Path, evaluation: Path) -> int:
        """Right answers of one model's weights on an evaluation set."""
        job = UtilityJob(
            job_id=os.urandom(16),
            model=model,
            base=weights,
            updates=(weights,),
            num_samples=(1,),
            evaluation=evaluation,
            averaging=task_pb2.AVERAGING_RENORMALISED,
            empty=task_pb2.EMPTY_COALITION_ZERO,
        )
        return int(await self._here.ask(f"while counting {weights.name}", jobs.count_correct, job))

    async def run(self, what: str, function: Callable[..., T], *arguments: Any) -> T:
        """Any module's function in a child of this machine.

        ``what`` says what it does ("while averaging") when the child dies of it twice.
        """
        result: T = await self._here.ask(what, function, *arguments)
        return result

    async def stop(self) -> None:
        """End the children, in the middle of their work if need be."""
        await asyncio.gather(*(slot.stop() for slot in {*self._slots, self._here}))

    async def _evaluate_batches(
        self, slot: _Slot, job_id: bytes, rows: Coalitions, counts: Counts
    ) -> None:
        start = 0
        while start < len(rows):
            batch = rows[start : start + self._batches.get(job_id, FIRST_BATCH)]
            end = start + len(batch)
            what = f"on coalitions {start} to {end - 1} of job {job_id.hex()[:16]}"
            found, computed, seconds = await slot.ask(what, jobs.evaluate, job_id, batch)
            counts[start:end] += found
            start = end
            if computed and job_id in self._jobs:
                pace = computed * REQUEST_SECONDS / max(seconds, 1e-6)
                self._batches[job_id] = max(1, min(MAX_BATCH, round(pace)))


async def _together(*works: Coroutine[Any, Any, None]) -> None:
    """All of them; when one fails the others are not left running, unheard."""
    tasks = [asyncio.ensure_future(work) for work in works]
    try:
        await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


class _Slot:
    """One child after another: whichever serves this place."""

    def __init__(
        self, executor: Executor, shard: ExampleShare, open_jobs: dict[bytes, UtilityJob]
    ) -> None:
        self._executor = executor
        self._shard = shard
        self._open_jobs = open_jobs
        self._process: Worker | None = None
        self._lock = asyncio.Lock()
        self._warm = False
        self._stopped = False

    @property
    def pid(self) -> int:
        return self._process.pid if self._process else 0

    async def start(self, warm: bool) -> None:
        self._warm = warm
        async with self._lock:
            await self._living()

    async def ask(self, what: str, function: Callable[..., Any], *arguments: Any) -> Any:
        """The function's result in the child; a death is forgiven once."""
        return await self._forgiving(what, lambda child: child.call(function, *arguments))

    async def open(self, what: str, job: UtilityJob) -> None:
        """Open a job in the child."""
        await self._forgiving(what, lambda child: child.open(job, self._shard))

    async def _forgiving(self, what: str, ask: Callable[[Worker], Awaitable[T]]) -> T:
        deaths: list[WorkerDiedError] = []
        while True:
            try:
                async with self._lock:
                    return await ask(await self._living())
            except WorkerDiedError as died:
                deaths.append(died)
                if self._stopped or len(deaths) == 2:
                    raise WorkerError(f"the worker died {what}: {died}") from died

    async def stop(self) -> None:
        self._stopped = True
        if self._process is not None:
            await self._process.stop()

    async def _living(self) -> Worker:
        if self._stopped:
            raise WorkerError("the worker was stopped")
        if self._process is not None and self._process.alive:
            return self._process
        if self._process is not None:
            await self._process.stop()
        self._process = self._executor.child()
        await self._process.start()
        if self._stopped:  # meanwhile
            await self._process.stop()
        await self._process.call(jobs.warm_up, self._warm)
        for job in list(self._open_jobs.values()):
            try:
                await self._process.open(job, self._shard)
            except WorkerDiedError:
                raise
            except (RefusalError, WorkerError):
                # Its files are gone, perhaps; who asks about it will be told that it is not open.
                continue
        return self._process
