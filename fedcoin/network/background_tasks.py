"""Owners of asyncio tasks: whoever starts one cancels and awaits it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine
from types import TracebackType
from typing import Any, TypeVar

T = TypeVar("T")

AGAIN_S = 2.0
"""A task that has not ended so long after it was cancelled is cancelled again: some of the
library's own primitives lose a cancellation that comes at the wrong moment."""

log = logging.getLogger(__name__)


class BackgroundTasks:
    """A group of background tasks that end with their owner.

    An exception in a task is a bug: it is logged as an error, at once, and the others go
    on. As an async context manager, or with `stop` called by whoever holds it::

        async with TaskOwner("sync") as tasks:
            tasks.start(fetch(), "fetch")
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._tasks: set[asyncio.Task[Any]] = set()
        self._stopped = False

    def __len__(self) -> int:
        """How many tasks run."""
        return len(self._tasks)

    async def __aenter__(self) -> BackgroundTasks:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.stop()

    @property
    def stopped(self) -> bool:
        """True once `stop` was called: nothing can be started any more."""
        return self._stopped

    def start(self, work: Coroutine[Any, Any, T], name: str = "") -> asyncio.Task[T]:
        """Run `work` in the background. After `stop` it is cancelled before its first step."""
        # A failure is reported by _ended; whoever awaits the task gets it as well.
        task = asyncio.get_running_loop().create_task(work, name=f"{self._name}: {name}")
        self._tasks.add(task)
        task.add_done_callback(self._ended)
        if self._stopped:
            task.cancel()
        return task

    async def stop(self) -> None:
        """Cancel all and wait until they have ended. May be called twice, and by a task of its own.

        A task that calls this is not cancelled by it.
        """
        self._stopped = True
        current = asyncio.current_task()
        while True:
            running = [task for task in self._tasks if task is not current and not task.done()]
            if not running:
                return
            for task in running:
                task.cancel()
            await asyncio.wait(running, timeout=AGAIN_S)

    def _ended(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if task.cancelled():
            return
        error = task.exception()
        if error is not None:
            log.error("%s failed", task.get_name(), exc_info=error)


async def run_within(seconds: float | None, work: Coroutine[Any, Any, T]) -> T:
    """The result of `work`; `asyncio.TimeoutError` when it takes longer, and then it is cancelled.

    Unlike `asyncio.wait_for` before Python 3.12, this never loses a cancellation. Nor does it
    take one for its caller's that was meant for `work` alone: that is a
    `ConnectionAbortedError`.
    """
    task = asyncio.get_running_loop().create_task(work)
    try:
        done, _ = await asyncio.wait((task,), timeout=seconds)
    finally:
        if not task.done():
            task.cancel()
            await asyncio.wait((task,))
        if not task.cancelled():
            # Looked at, even where nobody is left to be told: else asyncio logs it.
            task.exception()
    if not done:
        raise asyncio.TimeoutError
    if task.cancelled():
        raise ConnectionAbortedError(f"{task.get_name()} was cancelled by somebody else")
    return task.result()


async def run_until_first(*works: Coroutine[Any, Any, None]) -> None:
    """Run all until one ends; cancel and await the others, then raise the ended one's error.

    When several fail at once, the error of the first one in order is raised.
    """
    loop = asyncio.get_running_loop()
    tasks = [loop.create_task(work) for work in works]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        results = await asyncio.gather(*tasks, return_exceptions=True)
    for result in results:
        if isinstance(result, BaseException) and not isinstance(result, asyncio.CancelledError):
            raise result
