"""A bounded number of worker processes in which any number of clients train.

Each process trains one client at a time, and imports TensorFlow once, with the first model that
needs it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TypeVar

from fedcoin.learning.evaluation.job import ExampleShare
from fedcoin.learning.workers.executors import LocalExecutor
from fedcoin.learning.workers.worker_slot import WorkerSlot

T = TypeVar("T")


class TrainingPool:
    """Calls functions in worker processes of this machine, one at a time in each. `stop` it.

    Callers wait for their turn in the order in which they came. A process is started when all
    others are busy, so that a pool with few callers stays small; one that dies is replaced and its
    call repeated once. All methods must be called in one event loop.

    Args:
        processes: The most worker processes, at least 1.

    Raises:
        ValueError: There are no processes.
    """

    def __init__(self, processes: int = 1) -> None:
        executor = LocalExecutor(processes)
        self._slots = [
            WorkerSlot(executor, ExampleShare(0, 1), list) for _ in range(executor.num_workers)
        ]
        # The slot that was used last is taken first: its process has started already.
        self._free = list(reversed(self._slots))
        self._has_free = asyncio.Semaphore(processes)

    @property
    def pids(self) -> tuple[int, ...]:
        """The process ids; 0 for a process that has not been started."""
        return tuple(slot.pid for slot in self._slots)

    async def run(self, activity: str, function: Callable[..., T], *arguments: object) -> T:
        """Call a function in one of the processes, when one is free.

        Args:
            activity: A phrase for the error message when the worker dies twice, such as "while
                training".
            function: A function of a module, which the worker imports by name.
            *arguments: Its arguments, which are pickled.

        Returns:
            The result of the function.

        Raises:
            RefusalError: The function raised a RefusalError, which is passed on.
            WorkerError: The function raised any other exception, the worker died twice, or the pool
                was stopped.
        """
        async with self._has_free:
            slot = self._free.pop()
            try:
                result: T = await slot.call(activity, function, *arguments)
            finally:
                self._free.append(slot)
        return result

    async def stop(self) -> None:
        """End the processes, even in the middle of a call, which then raises WorkerError."""
        await asyncio.gather(*(slot.stop() for slot in self._slots))
