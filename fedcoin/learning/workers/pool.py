"""A pool of workers that counts the correct answers of coalitions' averaged models.

Each worker holds every k-th batch of the evaluation set, k the number of workers, and counts the
correct answers there; the counts of all workers add up. So the set is in memory once, each client's
first layer is computed once, and all workers finish together.

The way of a coalition, from a caller of `WorkerPool.evaluate`:

1. The memo answers what was evaluated before (`coalition_memo`).
2. The rest is cut into batches, at the size that takes a set time (`batch_sizer`). The callers of a
   job take turns, batch after batch; a caller whose turn comes asks the memo again, so that no
   coalition is evaluated twice.
3. Every worker counts the batch on its examples, in one pass (`jobs.evaluate`).
"""

from __future__ import annotations

import asyncio
import os
import time
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from fedcoin.data.errors import RefusalError
from fedcoin.data.plurals import format_count
from fedcoin.learning.errors import WorkerError
from fedcoin.learning.evaluation.job import (
    Coalitions,
    Counts,
    ExampleShare,
    UtilityJob,
    check_coalitions,
)
from fedcoin.learning.workers import jobs
from fedcoin.learning.workers.batch_sizer import BatchSizer
from fedcoin.learning.workers.coalition_memo import MAX_COUNTS, CoalitionMemo, pack_coalitions
from fedcoin.learning.workers.executors import Executor, LocalExecutor, Worker
from fedcoin.learning.workers.process import WorkerDiedError
from fedcoin.v1 import task_pb2

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class _OpenJob:
    job: UtilityJob
    sizer: BatchSizer
    turn: asyncio.Lock = field(default_factory=asyncio.Lock)
    """Held while a batch of the job is evaluated."""


class WorkerPool:
    """Evaluates coalitions in worker processes. `start` it, use it, `stop` it.

    TensorFlow is never imported in this process, and in the workers only for models that NumPy
    cannot compute. A worker that dies is replaced and its request repeated once. The pool remembers
    counts, so that repeated coalitions cost little. Several callers may use one pool; their batches
    take turns. All methods must be called in one event loop.

    Args:
        processes: Worker processes of this machine, when there is no `executor`.
        threads: Threads of each process.
        executor: Creates the workers.
        max_counts: How many counts the pool remembers, of all jobs together.
    """

    def __init__(
        self,
        *,
        processes: int = 1,
        threads: int = 1,
        executor: Executor | None = None,
        max_counts: int = MAX_COUNTS,
    ) -> None:
        executor = executor or LocalExecutor(processes, threads)
        num_workers = executor.num_workers
        self._jobs: dict[bytes, _OpenJob] = {}
        self._memo = CoalitionMemo(max_counts)
        self._slots = [
            _WorkerSlot(executor, ExampleShare(index, num_workers), self._jobs)
            for index in range(num_workers)
        ]
        # For calls that read files of this machine and need no job.
        is_local = isinstance(executor, LocalExecutor)
        self._local_slot = (
            self._slots[0] if is_local else _WorkerSlot(LocalExecutor(), ExampleShare(0, 1), {})
        )

    @property
    def pids(self) -> tuple[int, ...]:
        """The workers' process ids; 0 for one that has not been started."""
        return tuple(slot.pid for slot in self._slots)

    async def start(self) -> None:
        """Start the workers and wait until they answer. Without it, the first calls do so.

        Raises:
            WorkerError: A worker cannot be started.
        """
        await _run_together(*(slot.start() for slot in self._slots))

    async def open_job(self, job: UtilityJob) -> None:
        """Load and check a job's files in every worker. Does nothing when the job is open.

        Args:
            job: The job.

        Raises:
            RefusalError: As in `jobs.load_evaluator`.
            WorkerError: A file cannot be read, or a worker died twice.
        """
        if job.job_id in self._jobs:
            return
        activity = f"while opening job {job.job_id.hex()[:16]}"
        limits = await _run_together(*(slot.open_job(activity, job) for slot in self._slots))
        # Another caller may have opened it in the meantime.
        self._jobs.setdefault(job.job_id, _OpenJob(job, BatchSizer(min(limits))))

    def batch_size(self, job_id: bytes) -> int:
        """Return how many coalitions fit into the next batch.

        A caller that wants to do something between batches, such as to stop early, asks for about
        so many at a time.

        Args:
            job_id: The id of an open job.

        Returns:
            At least 1. Changes with each batch.

        Raises:
            RefusalError: UNKNOWN_JOB when the job is not open.
        """
        return self._open_job(job_id).sizer.size

    async def evaluate(self, job_id: bytes, coalitions: Coalitions) -> Counts:
        """Count the correct answers of each coalition's averaged model.

        Args:
            job_id: The id of an open job.
            coalitions: Bool (m, n), n the number of the job's clients. Any number of them.

        Returns:
            int64 (m,).

        Raises:
            RefusalError: UNKNOWN_JOB when the job is not open; BAD_COALITIONS when dtype or shape
                are wrong.
            WorkerError: A worker died twice on the same request; the message names it.
        """
        opened = self._open_job(job_id)
        await asyncio.sleep(0)  # lets others run when a caller in a loop only asks what is known
        rows = check_coalitions(coalitions, len(opened.job.updates))
        keys = pack_coalitions(rows)
        row_of = {key: row for row, key in enumerate(keys)}
        counts: dict[bytes, int] = {}
        waiting = deque(row_of)
        # Asking the memo first spares a caller whose coalitions are all known the wait for a turn.
        _take_batch(waiting, counts, self._memo.counts(job_id), 0)
        while waiting:
            async with opened.turn:
                known = self._memo.counts(job_id)
                batch = _take_batch(waiting, counts, known, opened.sizer.size)
                if batch:
                    computed = await self._evaluate_batch(opened, rows[[row_of[k] for k in batch]])
                    new_counts = dict(zip(batch, computed.tolist(), strict=True))
                    self._memo.add(job_id, new_counts)
                    counts.update(new_counts)
        return np.array([counts[key] for key in keys], np.int64)

    def recall(self, job_id: bytes, coalitions: Coalitions) -> Counts:
        """Return counts that were evaluated before. The job need not be open.

        Args:
            job_id: The id of a job.
            coalitions: Bool (m, n), n the number of the job's clients.

        Returns:
            int64 (m,).

        Raises:
            KeyError: One of the coalitions has not been evaluated, or is forgotten.
        """
        counts = self._memo.counts(job_id)
        return np.array([counts[key] for key in pack_coalitions(coalitions)], np.int64)

    async def close_job(self, job_id: bytes) -> None:
        """Free the memory of a job in every worker. Does nothing when the job is not open.

        The memo keeps its counts, for the case that the job is opened again.

        Args:
            job_id: The job's id.

        Raises:
            WorkerError: A worker died twice.
        """
        if self._jobs.pop(job_id, None) is None:
            return
        activity = f"while closing job {job_id.hex()[:16]}"
        await _run_together(*(slot.call(activity, jobs.close_job, job_id) for slot in self._slots))

    async def forget_job(self, job_id: bytes) -> None:
        """Close a job and drop its counts.

        Args:
            job_id: The job's id.

        Raises:
            WorkerError: As in `close_job`.
        """
        self._memo.forget(job_id)
        await self.close_job(job_id)

    async def check_job(self, job: UtilityJob, aggregate: Path, evaluation_size: int) -> None:
        """Check in a worker that a job's files and its aggregate fit together.

        Args:
            job: The job; it need not be open.
            aggregate: The tensors of the averaged weights.
            evaluation_size: How many examples the evaluation set must have.

        Raises:
            RefusalError: As in `artifact_checks.check_job_files`.
            WorkerError: A file cannot be read, or the worker died twice.
        """
        activity = f"while checking job {job.job_id.hex()[:16]}"
        await self._local_slot.call(activity, jobs.check_job, job, aggregate, evaluation_size)

    async def count_correct(self, model: Path, weights: Path, evaluation: Path) -> int:
        """Count the correct answers of one model.

        Args:
            model: The file of a serialised ModelSpec.
            weights: The tensors of the model's weights.
            evaluation: The tensors `x` and `y` of the evaluation set.

        Returns:
            The count on the whole evaluation set.

        Raises:
            RefusalError: As in `jobs.load_evaluator`.
            WorkerError: A file cannot be read, or the worker died twice.
        """
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
        activity = f"while evaluating {weights.name}"
        return int(await self._local_slot.call(activity, jobs.count_correct, job))

    async def run(self, activity: str, function: Callable[..., T], *arguments: Any) -> T:
        """Call any function in a worker of this machine.

        Args:
            activity: A phrase for the error message when the worker dies twice, such as "while
                averaging".
            function: A function of a module, which the worker imports by name.
            *arguments: Its arguments, which are pickled.

        Returns:
            The result of the function.

        Raises:
            RefusalError: The function raised a RefusalError, which is passed on.
            WorkerError: The function raised any other exception, or the worker died twice.
        """
        result: T = await self._local_slot.call(activity, function, *arguments)
        return result

    async def stop(self) -> None:
        """End the workers, even in the middle of a call, which then raises WorkerError."""
        await asyncio.gather(*(slot.stop() for slot in {*self._slots, self._local_slot}))

    def _open_job(self, job_id: bytes) -> _OpenJob:
        opened = self._jobs.get(job_id)
        if opened is None:
            raise jobs.unknown_job_error(job_id)
        return opened

    async def _evaluate_batch(self, opened: _OpenJob, rows: Coalitions) -> Counts:
        """Let all workers count a batch, and add up their counts."""
        job_id, started = opened.job.job_id, time.monotonic()
        activity = f"on {format_count(len(rows), 'coalition')} of job {job_id.hex()[:16]}"
        shares = await _run_together(
            *(slot.call(activity, jobs.evaluate, job_id, rows) for slot in self._slots)
        )
        opened.sizer.learn(len(rows), time.monotonic() - started)
        counts: Counts = np.sum(shares, axis=0, dtype=np.int64)
        return counts


def _take_batch(
    waiting: deque[bytes], counts: dict[bytes, int], known: Mapping[bytes, int], size: int
) -> list[bytes]:
    """Take up to `size` unknown coalitions from `waiting`, and move known ones to `counts`."""
    batch: list[bytes] = []
    while waiting:
        count = known.get(waiting[0])
        if count is not None:
            counts[waiting.popleft()] = count
        elif len(batch) < size:
            batch.append(waiting.popleft())
        else:
            break
    return batch


async def _run_together(*coroutines: Coroutine[Any, Any, T]) -> list[T]:
    """Run coroutines concurrently; when one fails, cancel the others and wait for their end."""
    tasks = [asyncio.ensure_future(coroutine) for coroutine in coroutines]
    try:
        return await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


class _WorkerSlot:
    """One worker after another for one share of the examples."""

    def __init__(
        self, executor: Executor, share: ExampleShare, open_jobs: Mapping[bytes, _OpenJob]
    ) -> None:
        self._executor = executor
        self._share = share
        self._open_jobs = open_jobs
        self._worker: Worker | None = None
        self._lock = asyncio.Lock()
        self._is_stopped = False

    @property
    def pid(self) -> int:
        return self._worker.pid if self._worker else 0

    async def start(self) -> None:
        async with self._lock:
            await self._living_worker()

    async def call(self, activity: str, function: Callable[..., Any], *arguments: Any) -> Any:
        return await self._with_one_retry(
            activity, lambda worker: worker.call(function, *arguments)
        )

    async def open_job(self, activity: str, job: UtilityJob) -> int:
        return await self._with_one_retry(
            activity, lambda worker: worker.open_job(job, self._share)
        )

    async def _with_one_retry(self, activity: str, request: Callable[[Worker], Awaitable[T]]) -> T:
        num_deaths = 0
        while True:
            try:
                async with self._lock:
                    return await request(await self._living_worker())
            except WorkerDiedError as death:
                num_deaths += 1
                if self._is_stopped or num_deaths == 2:
                    raise WorkerError(f"the worker died {activity}: {death}") from death

    async def stop(self) -> None:
        self._is_stopped = True
        if self._worker is not None:
            await self._worker.stop()

    async def _living_worker(self) -> Worker:
        """Return the worker; start one, with all open jobs, if there is none or it died."""
        if self._is_stopped:
            raise WorkerError("the worker pool was stopped")
        if self._worker is not None and self._worker.is_alive:
            return self._worker
        if self._worker is not None:
            await self._worker.stop()
        self._worker = self._executor.create_worker()
        await self._worker.start()
        if self._is_stopped:  # `stop` was called while the worker started
            await self._worker.stop()
        await self._worker.call(jobs.ping)
        for opened in list(self._open_jobs.values()):
            try:
                await self._worker.open_job(opened.job, self._share)
            except WorkerDiedError:
                raise
            except (RefusalError, WorkerError):
                # Its files may be gone by now. Requests about this job will fail with UNKNOWN_JOB.
                continue
        return self._worker
