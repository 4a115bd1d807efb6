"""A pool of workers that counts the correct answers of coalitions' averaged models.

Each worker holds every k-th batch of the evaluation set, k the number of workers, and counts the
correct answers there; the counts of all workers add up. So the set is in memory once, each client's
first layer is computed once, and all workers finish together.
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
"""How long a worker should work on one request: long enough that sending it costs little, short
enough that another caller's request, or the end, does not wait long. Chosen by hand."""

FIRST_REQUEST, MAX_REQUEST = 16, 4096
"""Coalitions in a job's first request to each worker, and the most in any."""


class WorkerPool:
    """Evaluates coalitions in worker processes. `start` it, use it, `stop` it.

    TensorFlow is never imported in this process, and in the workers only for models that NumPy
    cannot compute. A worker that dies is replaced and its request repeated once. Each worker
    remembers its counts, so repeated coalitions cost little. Several callers may use one pool;
    their requests take turns. All methods must be called in one event loop.

    Args:
        processes: Worker processes of this machine, when there is no `executor`.
        threads: Threads of each of them.
        executor: Creates the workers.
    """

    def __init__(
        self, *, processes: int = 1, threads: int = 1, executor: Executor | None = None
    ) -> None:
        executor = executor or LocalExecutor(processes, threads)
        num_workers = executor.num_workers
        self._jobs: dict[bytes, UtilityJob] = {}
        self._request_sizes: dict[bytes, int] = {}
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
        await _run_together(*(slot.open_job(activity, job) for slot in self._slots))
        self._jobs[job.job_id] = job

    async def evaluate(self, job_id: bytes, coalitions: Coalitions) -> Counts:
        """Count the correct answers of each coalition's averaged model.

        Args:
            job_id: The id of an open job.
            coalitions: Bool (m, n), n the number of the job's clients.

        Returns:
            int64 (m,).

        Raises:
            RefusalError: UNKNOWN_JOB when the job is not open; BAD_COALITIONS when dtype or shape
                are wrong.
            WorkerError: A worker died twice on the same request; the message names it.
        """
        job = self._jobs.get(job_id)
        if job is None:
            raise jobs.unknown_job_error(job_id)
        rows = check_coalitions(coalitions, len(job.updates))
        counts = np.zeros(len(rows), np.int64)
        await _run_together(*(self._add_counts(slot, job_id, rows, counts) for slot in self._slots))
        return counts

    async def close_job(self, job_id: bytes) -> None:
        """Free the memory of a job in every worker. Does nothing when the job is not open.

        Args:
            job_id: The job's id.

        Raises:
            WorkerError: A worker died twice.
        """
        self._request_sizes.pop(job_id, None)
        if self._jobs.pop(job_id, None) is None:
            return
        activity = f"while closing job {job_id.hex()[:16]}"
        await _run_together(*(slot.call(activity, jobs.close_job, job_id) for slot in self._slots))

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

    async def _add_counts(
        self, slot: _WorkerSlot, job_id: bytes, rows: Coalitions, counts: Counts
    ) -> None:
        """Let one worker count, request after request, and add its counts to `counts`."""
        start = 0
        while start < len(rows):
            request = rows[start : start + self._request_sizes.get(job_id, FIRST_REQUEST)]
            end = start + len(request)
            activity = f"on coalitions {start} to {end - 1} of job {job_id.hex()[:16]}"
            share_counts, num_computed, seconds = await slot.call(
                activity, jobs.evaluate, job_id, request
            )
            counts[start:end] += share_counts
            start = end
            if num_computed and job_id in self._jobs:
                fitting = num_computed * REQUEST_SECONDS / max(seconds, 1e-6)
                self._request_sizes[job_id] = max(1, min(MAX_REQUEST, round(fitting)))


async def _run_together(*coroutines: Coroutine[Any, Any, None]) -> None:
    """Run coroutines concurrently; when one fails, cancel the others and wait for their end."""
    tasks = [asyncio.ensure_future(coroutine) for coroutine in coroutines]
    try:
        await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


class _WorkerSlot:
    """One worker after another for one share of the examples."""

    def __init__(
        self, executor: Executor, share: ExampleShare, open_jobs: dict[bytes, UtilityJob]
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

    async def open_job(self, activity: str, job: UtilityJob) -> None:
        await self._with_one_retry(activity, lambda worker: worker.open_job(job, self._share))

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
        for job in list(self._open_jobs.values()):
            try:
                await self._worker.open_job(job, self._share)
            except WorkerDiedError:
                raise
            except (RefusalError, WorkerError):
                # Its files may be gone by now. Requests about this job will fail with UNKNOWN_JOB.
                continue
        return self._worker
