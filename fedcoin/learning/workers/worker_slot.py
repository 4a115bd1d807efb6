"""A place for one worker after another, each of which counts on the same share of the examples."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine, Iterable
from typing import Any, TypeVar

from fedcoin.data.errors import RefusalError
from fedcoin.learning.errors import LearningCode, WorkerError
from fedcoin.learning.evaluation.job import ExampleShare, UtilityJob
from fedcoin.learning.workers import jobs
from fedcoin.learning.workers.executors import Executor, Worker
from fedcoin.learning.workers.process import WorkerDiedError

log = logging.getLogger(__name__)

T = TypeVar("T")

ListJobs = Callable[[], Iterable[UtilityJob]]
"""Lists the jobs that must be open in a new worker."""


class WorkerSlot:
    """Calls one worker, replaces it when it dies, and ends it when it works for too long.

    Args:
        executor: Creates the workers.
        share: The part of the examples that they count on.
        open_jobs: Lists the jobs to open in a worker that replaces another.
        request_seconds: How long a worker may work on one request; None for any time.
    """

    def __init__(
        self,
        executor: Executor,
        share: ExampleShare,
        open_jobs: ListJobs,
        request_seconds: float | None = None,
    ) -> None:
        self._executor = executor
        self._share = share
        self._open_jobs = open_jobs
        self._request_seconds = request_seconds
        self._worker: Worker | None = None
        self._lock = asyncio.Lock()
        self._is_stopped = False
        self.num_deaths = 0
        """How many of its workers died while they had a request."""
        # The request that the worker has at hand, whose caller may have given up, and its deadline.
        self._running: asyncio.Future[Any] | None = None
        self._deadline = 0.0

    @property
    def pid(self) -> int:
        """The worker's process id; 0 when there is none."""
        return self._worker.pid if self._worker else 0

    async def start(self) -> None:
        """Start the worker if there is none; once more if it dies before it answers.

        Raises:
            WorkerError: It cannot be started, or died twice.
        """
        await self.call("at its start", jobs.ping)

    async def call(self, activity: str, function: Callable[..., Any], *arguments: Any) -> Any:
        """Call a function in the worker; a second time if the worker dies.

        Args:
            activity: A phrase for error messages, such as "while averaging".
            function: A function of a module, which the worker imports by name.
            *arguments: The function's arguments, which are pickled.

        Returns:
            The function's result.

        Raises:
            RefusalError: The one that the function raised, or OVERDUE when it took longer than
                allowed.
            WorkerError: The function raised another exception, or the worker died twice.
        """
        return await self._with_one_retry(
            activity, lambda worker: worker.call(function, *arguments)
        )

    async def open_job(self, activity: str, job: UtilityJob) -> int:
        """Open a job in the worker.

        Args:
            activity: A phrase for error messages, such as "while opening job 12".
            job: The job to open.

        Returns:
            The most coalitions to evaluate at a time, as `jobs.open_job` returns it.

        Raises:
            RefusalError: OVERDUE when the worker needs too long; the code of what is wrong with
                the model, weights or evaluation set, such as BAD_MODEL, WRONG_SHAPE or NOT_FINITE;
                all are listed at `jobs.load_evaluator`.
            WorkerError: A file cannot be read, or the worker died twice.
        """
        return await self._with_one_retry(
            activity, lambda worker: worker.open_job(job, self._share)
        )

    async def stop(self) -> None:
        """End the worker for good, also during a request."""
        self._is_stopped = True
        if self._worker is not None:
            await self._worker.stop()

    async def _with_one_retry(self, activity: str, request: Callable[[Worker], Awaitable[T]]) -> T:
        num_deaths = 0
        while True:
            try:
                async with self._lock:
                    await self._end_abandoned_request()
                    return await self._request(activity, request)
            except WorkerDiedError as death:
                num_deaths += 1
                self.num_deaths += 1
                if self._is_stopped or num_deaths == 2:
                    raise WorkerError(f"the worker died {activity}: {death}") from death
                log.warning("another worker takes over %s: %s", activity, death)

    async def _request(self, activity: str, request: Callable[[Worker], Awaitable[T]]) -> T:
        worker = await self._living_worker()
        running = asyncio.ensure_future(request(worker))
        running.add_done_callback(_note_outcome)
        self._running = running
        self._deadline = asyncio.get_running_loop().time() + (self._request_seconds or 0.0)
        done, _ = await asyncio.wait({running}, timeout=self._request_seconds)
        if done:
            return running.result()
        await worker.stop()
        raise overdue_error(activity, self._request_seconds or 0.0)

    async def _end_abandoned_request(self) -> None:
        # A caller that is cancelled leaves the worker at its work, which must not count as the next
        # caller's.
        if self._running is None or self._running.done():
            return
        left = None
        if self._request_seconds is not None:
            left = max(0.0, self._deadline - asyncio.get_running_loop().time())
        await asyncio.wait({self._running}, timeout=left)
        if not self._running.done() and self._worker is not None:
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
        for job in list(self._open_jobs()):
            await self._reopen(self._worker, job)
        return self._worker

    async def _reopen(self, worker: Worker, job: UtilityJob) -> None:
        try:
            await asyncio.wait_for(worker.open_job(job, self._share), self._request_seconds)
        except WorkerDiedError:
            raise
        except asyncio.TimeoutError:
            await worker.stop()
            raise WorkerDiedError(f"opening job {job.job_id.hex()[:16]} took too long") from None
        except (RefusalError, WorkerError):
            # Its files may be gone by now. Requests about this job will fail with UNKNOWN_JOB.
            return


def overdue_error(activity: str, seconds: float) -> RefusalError:
    """Describe a request that took longer than allowed.

    Args:
        activity: What the worker did, such as "while opening job 12".
        seconds: How long it was allowed to take, in seconds.

    Returns:
        A refusal with code OVERDUE.
    """
    return RefusalError(
        LearningCode.OVERDUE,
        f"a worker was ended {activity}, because it took longer than {seconds:g} s: use a smaller "
        "model or fewer examples, raise miner.request_seconds, or give this machine less to do",
        field="model",
        limit=f"{seconds:g} s",
    )


async def run_together(*coroutines: Coroutine[Any, Any, T]) -> list[T]:
    """Run coroutines concurrently; when one fails, cancel the others and wait for their end.

    Args:
        *coroutines: The coroutines, which are all started at once.

    Returns:
        Their results, in order.
    """
    tasks = [asyncio.ensure_future(coroutine) for coroutine in coroutines]
    try:
        return await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def _note_outcome(request: asyncio.Future[Any]) -> None:
    # Else asyncio would report that the exception of an abandoned request was never retrieved.
    if not request.cancelled():
        request.exception()
