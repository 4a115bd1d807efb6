"""Executors: where workers run, in child processes of this machine or on other machines.

A `WorkerPool` divides the evaluation set among as many workers as its executor has, cuts the work
into batches, and replaces workers that die. An executor only creates workers.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol, TypeVar

from fedcoin.learning.evaluation.job import ExampleShare, UtilityJob
from fedcoin.learning.workers import jobs
from fedcoin.learning.workers.process import NO_BOUNDS, WorkerBounds, WorkerProcess

T = TypeVar("T")


class Worker(Protocol):
    """Calls functions in another process, one at a time. `start` it, use it, `stop` it."""

    @property
    def is_alive(self) -> bool:
        """Whether it accepts calls."""
        ...

    @property
    def pid(self) -> int:
        """The process id on its machine; 0 before it was started."""
        ...

    async def start(self) -> None:
        """Start the worker. It answers its first call once it is ready.

        Raises:
            WorkerError: The worker cannot be started.
        """
        ...

    async def call(self, function: Callable[..., T], *arguments: Any) -> T:
        """Call a function in the worker.

        Args:
            function: A function of a module, which the worker imports by name.
            *arguments: Its arguments, which are pickled.

        Returns:
            The result of the function.

        Raises:
            RefusalError: The function raised a RefusalError, which is passed on.
            WorkerDiedError: The worker is not running, or died during the call.
            WorkerError: The function raised any other exception.
        """
        ...

    async def open_job(self, job: UtilityJob, share: ExampleShare) -> int:
        """Call `jobs.open_job` with a job whose files lie on this machine.

        Args:
            job: The job to open.
            share: The part of the examples that the worker counts on.

        Returns:
            The most coalitions to evaluate at a time, as `jobs.open_job` returns it.

        Raises:
            RefusalError: The code of what is wrong with the model, weights or evaluation set, such
                as BAD_MODEL, WRONG_SHAPE or NOT_FINITE; all are listed at `jobs.load_evaluator`.
            WorkerError: A file cannot be read, or the worker is not running or died.
        """
        ...

    async def stop(self) -> None:
        """End the worker, even during a call, which then raises WorkerDiedError."""
        ...


class Executor(Protocol):
    """Creates the workers of one pool."""

    @property
    def num_workers(self) -> int:
        """How many workers the pool should have at a time, at least 1."""
        ...

    def create_worker(self) -> Worker:
        """Create a worker, not yet started.

        Returns:
            The worker, an additional one or the successor of one that died.
        """
        ...


class LocalWorker(WorkerProcess):
    """A child process of this machine, which reads a job's files itself."""

    async def open_job(self, job: UtilityJob, share: ExampleShare) -> int:
        """Implement `Worker.open_job`: open the job in this process."""
        return await self.call(jobs.open_job, job, share)


class LocalExecutor:
    """Creates child processes of this machine.

    Args:
        processes: How many workers, at least 1.
        threads: Threads of each worker, at least 1.
        bounds: The memory limit and the sandbox of each worker.

    Raises:
        ValueError: A number is below 1.
    """

    def __init__(
        self, processes: int = 1, threads: int = 1, bounds: WorkerBounds = NO_BOUNDS
    ) -> None:
        if processes < 1 or threads < 1:
            raise ValueError(f"{processes} processes of {threads} threads: both must be at least 1")
        self._processes = processes
        self._threads = threads
        self._bounds = bounds

    @property
    def num_workers(self) -> int:
        """How many workers the pool should have at a time."""
        return self._processes

    def create_worker(self) -> Worker:
        """Implement `Executor.create_worker`: create a worker, not yet started."""
        return LocalWorker(threads=self._threads, bounds=self._bounds)
