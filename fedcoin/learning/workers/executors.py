"""Where coalitions are evaluated: child processes of this machine, or more than one machine.

``worker_pool`` cuts the work into requests, deals the evaluation set out to as many children as
its executor has places, and replaces children that die. An executor only makes children.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any, Protocol, TypeVar

from fedcoin.learning.evaluation.job import ExampleShare, UtilityJob
from fedcoin.learning.workers import jobs
from fedcoin.learning.workers.process import WorkerProcess

T = TypeVar("T")


class Worker(Protocol):
    """Calls functions elsewhere, one at a time. ``start`` it, use it, ``stop`` it."""

    @property
    def alive(self) -> bool:
        """True while it can be asked."""
        ...

    @property
    def pid(self) -> int:
        """The number of its process on its machine; 0 before it was started."""
        ...

    async def start(self) -> None:
        """Make it. It answers when it is ready. Raises WorkerDied."""
        ...

    async def call(self, function: Callable[..., T], *arguments: Any) -> T:
        """What a module's function returns there.

        A Refusal there is raised here; anything else as WorkerFailed, its death as WorkerDied.
        """
        ...

    async def open(self, job: UtilityJob, shard: ExampleShare) -> None:
        """``jobs.open_job`` there, with the job's files of this machine."""
        ...

    async def stop(self) -> None:
        """End it, at once if it is busy. Whoever waits gets WorkerDied."""
        ...


class Executor(Protocol):
    """Makes children for so many places."""

    @property
    def places(self) -> int:
        """How many children work at a time, at least 1."""
        ...

    def child(self) -> Worker:
        """A new child, for a new place or for one whose child died."""
        ...


class LocalWorker(WorkerProcess):
    """A child process of this machine, which reads a job's files itself."""

    async def open(self, job: UtilityJob, shard: ExampleShare) -> None:
        """See ``Child``."""
        await self.call(jobs.open_job, job, shard)


class LocalExecutor:
    """``processes`` child processes of ``threads`` threads each."""

    def __init__(self, processes: int = 1, threads: int = 1) -> None:
        if processes < 1 or threads < 1:
            raise ValueError("a worker needs at least one process and one thread")
        self._processes = processes
        self._threads = threads

    @property
    def places(self) -> int:
        """See ``Executor``."""
        return self._processes

    def child(self) -> Worker:
        """See ``Executor``."""
        return LocalWorker(threads=self._threads)


def count_cores() -> int:
    """The CPU cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
