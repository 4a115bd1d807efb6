"""A pool of workers that measures coalitions' averaged models.

Each worker holds every k-th batch of the evaluation set, k the number of workers, and sums up what
the models answer there; the sums of all workers add up, and the measure turns them into utilities.
So the set is in memory once, each client's first layer is computed once, and all workers finish
together.

The way of a coalition, from a caller of `WorkerPool.evaluate`:

1. The memo answers what was evaluated before (`coalition_memo`).
2. The rest is cut into batches, at the size that takes a set time (`batch_sizer`). The callers of a
   job take turns, batch after batch; a caller whose turn comes asks the memo again, so that no
   coalition is evaluated twice.
   An audit is urgent: mining waits with its next batch until the audit has its counts.
3. Every worker evaluates the batch on its examples, in one pass (`jobs.evaluate`).
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeVar

import numpy as np

from fedcoin.data.plurals import format_count
from fedcoin.learning.evaluation.job import (
    Coalitions,
    Counts,
    ExampleShare,
    UtilityJob,
    check_coalitions,
    finish_utilities,
)
from fedcoin.learning.measures.choice import restore_measure
from fedcoin.learning.measures.measure import Measure, Statistics
from fedcoin.learning.measures.right_answers import ACCURACY
from fedcoin.learning.workers import jobs
from fedcoin.learning.workers.batch_sizer import BatchSizer
from fedcoin.learning.workers.coalition_memo import (
    MAX_COUNTS,
    CoalitionMemo,
    pack_coalitions,
    take_batch,
)
from fedcoin.learning.workers.executors import Executor, LocalExecutor
from fedcoin.learning.workers.file_calls import FileCalls
from fedcoin.learning.workers.process import NO_BOUNDS, WorkerBounds
from fedcoin.learning.workers.slow_jobs import SlowJobs
from fedcoin.learning.workers.urgency import UrgentCallers
from fedcoin.learning.workers.worker_slot import WorkerSlot, run_together
from fedcoin.v1 import task_pb2

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class _OpenJob:
    job: UtilityJob
    sizer: BatchSizer
    measure: Measure
    turn: asyncio.Lock = field(default_factory=asyncio.Lock)
    """Held while a batch of the job is evaluated."""


class WorkerPool(FileCalls):
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
        request_seconds: How long a worker may work on one request about a job before it is ended
            and the job refused from then on; None for any time.
        bounds: The memory limit and the sandbox of a worker of this machine. An `executor` has
            bounds of its own.
        has_own_checker: Whether calls that need no job have a process of their own, which is
            started for the first of them, so that they do not wait for batches of jobs.
    """

    def __init__(
        self,
        *,
        processes: int = 1,
        threads: int = 1,
        executor: Executor | None = None,
        max_counts: int = MAX_COUNTS,
        request_seconds: float | None = None,
        bounds: WorkerBounds = NO_BOUNDS,
        has_own_checker: bool = False,
    ) -> None:
        executor = executor or LocalExecutor(processes, threads, bounds)
        num_workers = executor.num_workers
        self._jobs: dict[bytes, _OpenJob] = {}
        self._memo = CoalitionMemo(max_counts)
        self._slots = [
            WorkerSlot(executor, ExampleShare(index, num_workers), self._list_jobs, request_seconds)
            for index in range(num_workers)
        ]
        check_slot = self._slots[0]
        if has_own_checker or not isinstance(executor, LocalExecutor):
            checker = LocalExecutor(bounds=bounds)
            check_slot = WorkerSlot(checker, ExampleShare(0, 1), list, request_seconds)
        super().__init__(check_slot, SlowJobs(lambda job_id: self._jobs.pop(job_id, None)))
        self._urgent_callers = UrgentCallers()
        self.num_evaluations = 0
        """How many coalitions the workers evaluated; those that the memo knew do not count."""

    @property
    def pids(self) -> tuple[int, ...]:
        """The workers' process ids; 0 for one that has not been started."""
        return tuple(slot.pid for slot in self._slots)

    @property
    def num_deaths(self) -> int:
        """How many workers died while they had a request; each was replaced."""
        return sum(slot.num_deaths for slot in {*self._slots, self._check_slot})

    async def start(self) -> None:
        """Start the workers and wait until they answer. Without it, the first calls do so.

        Raises:
            WorkerError: A worker cannot be started.
        """
        await run_together(*(slot.start() for slot in self._slots))

    async def open_job(self, job: UtilityJob) -> None:
        """Load and check a job's files in every worker. Does nothing when the job is open.

        Args:
            job: The job to open.

        Raises:
            RefusalError: The code of what is wrong with the model, weights or evaluation set, such
                as BAD_MODEL, WRONG_SHAPE or NOT_FINITE; all are listed at `jobs.load_evaluator`.
            WorkerError: A file cannot be read, or a worker died twice.
        """
        if job.job_id in self._jobs:
            return
        activity = f"while opening job {job.job_id.hex()[:16]}"
        with self._slow_jobs.watch(job.job_id):
            limits = await run_together(*(slot.open_job(activity, job) for slot in self._slots))
            measure = await self._describe_measure(activity, job)
        # Another caller may have opened it in the meantime.
        self._jobs.setdefault(job.job_id, _OpenJob(job, BatchSizer(min(limits)), measure))

    def batch_size(self, job_id: bytes) -> int:
        """Return how many coalitions fit into the next batch.

        A caller that acts between batches, for example to stop early, passes about this number of
        coalitions to each `evaluate`.

        Args:
            job_id: The id of an open job.

        Returns:
            At least 1. Changes with each batch.

        Raises:
            RefusalError: UNKNOWN_JOB when the job is not open.
        """
        return self._open_job(job_id).sizer.size

    def measure(self, job_id: bytes) -> Measure:
        """Return a job's measure.

        Args:
            job_id: The id of an open job.

        Returns:
            The measure, for the job's evaluation set.

        Raises:
            RefusalError: UNKNOWN_JOB when the job is not open.
        """
        return self._open_job(job_id).measure

    async def evaluate(
        self, job_id: bytes, coalitions: Coalitions, *, urgent: bool = False
    ) -> Counts:
        """Compute the utility of each coalition.

        Args:
            job_id: The id of an open job.
            coalitions: Bool (m, n), n the number of the job's clients. Any number of them. Where
                the job has groups, all members of a group follow its first client.
            urgent: Whether callers that are not urgent wait with their next batch, of any job,
                until this call is done.

        Returns:
            The utility of each coalition, int64 (m,): with the accuracy, its right answers.

        Raises:
            RefusalError: UNKNOWN_JOB when the job is not open; BAD_COALITIONS when dtype or shape
                are wrong; OVERDUE when a batch took longer than a request may.
            WorkerError: A worker died twice on the same request; the message names it.
        """
        opened = self._open_job(job_id)
        await asyncio.sleep(0)  # lets others run when a caller in a loop only asks what is known
        # Before the memo, so that coalitions of the same groups are evaluated once, to one count.
        rows = opened.job.join_groups(check_coalitions(coalitions, len(opened.job.updates)))
        keys = pack_coalitions(rows)
        row_of = {key: row for row, key in enumerate(keys)}
        counts: dict[bytes, int] = {}
        waiting = deque(row_of)
        # Asking the memo first spares a caller whose coalitions are all known the wait for a turn.
        take_batch(waiting, counts, self._memo.counts(job_id), 0)
        with self._urgent_callers.count(urgent):
            while waiting:
                if not urgent:
                    await self._urgent_callers.wait_for_none()
                async with opened.turn:
                    known = self._memo.counts(job_id)
                    batch = take_batch(waiting, counts, known, opened.sizer.size)
                    if batch:
                        batch_rows = rows[[row_of[key] for key in batch]]
                        computed = await self._evaluate_batch(opened, batch_rows)
                        new_counts = dict(zip(batch, computed.tolist(), strict=True))
                        self._memo.add(job_id, new_counts)
                        counts.update(new_counts)
        return np.array([counts[key] for key in keys], np.int64)

    def recall(self, job_id: bytes, coalitions: Coalitions) -> Counts:
        """Return counts that were evaluated before. The job need not be open.

        Args:
            job_id: The id of a job that was evaluated before.
            coalitions: Bool (m, n), n the number of the job's clients.

        Returns:
            The utility of each coalition, int64 (m,).

        Raises:
            KeyError: One of the coalitions has not been evaluated, or is forgotten.
        """
        counts = self._memo.counts(job_id)
        return np.array([counts[key] for key in pack_coalitions(coalitions)], np.int64)

    async def count_near_ties(self, job_id: bytes, coalitions: Coalitions) -> Counts:
        """Count the examples whose answer rounding decides (`measures.near_ties`).

        Args:
            job_id: The id of an open job, whose measure counts answers.
            coalitions: Bool (m, n), at most a batch; all are evaluated anew.

        Returns:
            The near ties of each coalition's model, int64 (m,).

        Raises:
            RefusalError: UNKNOWN_JOB when the job is not open; BAD_COALITIONS when dtype or shape
                are wrong; OVERDUE when it took longer than a request may.
            WorkerError: A worker died twice on the same request; the message names it.
        """
        opened = self._open_job(job_id)
        rows = opened.job.join_groups(check_coalitions(coalitions, len(opened.job.updates)))
        async with opened.turn:
            return (await self._call_all(opened.job, jobs.count_near_ties, rows))[:, 0]

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
        await run_together(*(slot.call(activity, jobs.close_job, job_id) for slot in self._slots))

    async def forget_job(self, job_id: bytes) -> None:
        """Close a job and drop its counts.

        Args:
            job_id: The job's id.

        Raises:
            WorkerError: A worker died twice.
        """
        self._memo.forget(job_id)
        await self.close_job(job_id)

    async def stop(self) -> None:
        """End the workers, even in the middle of a call, which then raises WorkerError."""
        await asyncio.gather(*(slot.stop() for slot in {*self._slots, self._check_slot}))

    def _list_jobs(self) -> list[UtilityJob]:
        return [opened.job for opened in self._jobs.values()]

    def _open_job(self, job_id: bytes) -> _OpenJob:
        opened = self._jobs.get(job_id)
        if opened is None:
            raise jobs.unknown_job_error(job_id)
        return opened

    async def _evaluate_batch(self, opened: _OpenJob, rows: Coalitions) -> Counts:
        """Let all workers evaluate a batch, and turn the sums of their sums into utilities."""
        started = time.monotonic()
        statistics = await self._call_all(opened.job, jobs.evaluate, rows)
        self.num_evaluations += len(rows)
        opened.sizer.learn(len(rows), time.monotonic() - started)
        return finish_utilities(opened.job, opened.measure, rows, statistics)

    async def _call_all(
        self, job: UtilityJob, function: Callable[..., Statistics], rows: Coalitions
    ) -> Statistics:
        """Let all workers sum something up for coalitions, and add up their sums."""
        activity = f"on {format_count(len(rows), 'coalition')} of job {job.job_id.hex()[:16]}"
        with self._slow_jobs.watch(job.job_id):
            shares = await run_together(
                *(slot.call(activity, function, job.job_id, rows) for slot in self._slots)
            )
        total: Statistics = np.sum(shares, axis=0, dtype=np.int64)
        return total

    async def _describe_measure(self, activity: str, job: UtilityJob) -> Measure:
        """Make the measure of a job that all workers have opened; they hold the examples."""
        if job.utility == task_pb2.UTILITY_ACCURACY:
            return ACCURACY  # needs no knowledge of the examples
        facts = await self._slots[0].call(activity, jobs.measure_facts, job.job_id)
        return restore_measure(job.utility, facts)
