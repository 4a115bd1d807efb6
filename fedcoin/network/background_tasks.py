"""Owners of asyncio tasks: the owner of a background task cancels and awaits it."""

from __future__ import annotations

import asyncio
import logging
import sys
from collections.abc import Callable, Coroutine
from types import TracebackType
from typing import Any, TypeVar

T = TypeVar("T")

CANCEL_AGAIN_S = 2.0
"""How long after its cancellation a task that still runs is cancelled again, in seconds: some of
asyncio's primitives lose a cancellation that comes at the wrong moment."""

MIN_PAUSE_S, MAX_PAUSE_S = 1.0, 60.0
"""The first and the longest pause before a task that failed is run again, in seconds."""

log = logging.getLogger(__name__)

FailureListener = Callable[[str, BaseException, bool], None]
"""Called with a failed task's name, its exception, and whether the task is vital."""


class BackgroundTasks:
    """A group of tasks that end with their owner.

    An exception in one of them is logged as an error at once and reported to the listeners of the
    group, and the other tasks go on. Listeners learn whether the task was vital: then its owner
    cannot work without it. Use the group as an async context manager, or call `stop`.

    ```
    async with BackgroundTasks("sync") as tasks:
        tasks.start(fetch(), "fetch")
    ```
    """

    def __init__(self, name: str) -> None:
        """Begin without tasks.

        Args:
            name: The owner's name, which the tasks' names in the log begin with.
        """
        self._name = name
        self._tasks: set[asyncio.Task[Any]] = set()
        self._vital: set[asyncio.Task[Any]] = set()
        self._listeners: list[FailureListener] = []
        self._stopped = False

    def __len__(self) -> int:
        """Return how many tasks run."""
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

    def on_failure(self, listener: FailureListener) -> None:
        """Register a listener for tasks that end with an exception.

        Args:
            listener: Called on the event loop.
        """
        self._listeners.append(listener)

    def start(
        self, work: Coroutine[Any, Any, T], name: str = "", *, vital: bool = False
    ) -> asyncio.Task[T]:
        """Run a coroutine in the background.

        Args:
            work: The coroutine. After `stop` it is cancelled before its first step.
            name: The task's name in the log.
            vital: Whether the owner of the group cannot work without the task.

        Returns:
            The task; awaiting it is allowed, and raises its exception.
        """
        task = asyncio.get_running_loop().create_task(work, name=f"{self._name}: {name}")
        self._tasks.add(task)
        if vital:
            self._vital.add(task)
        task.add_done_callback(self._ended)
        if self._stopped:
            task.cancel()
        return task

    def keep_running(
        self, make_work: Callable[[], Coroutine[Any, Any, None]], name: str
    ) -> asyncio.Task[None]:
        """Run a coroutine in the background, and another one whenever it fails.

        Args:
            make_work: Makes a new coroutine each time that it is called.
            name: The task's name in the log.

        Returns:
            The task, which ends when a coroutine returns.
        """
        return self.start(self._repeat(make_work, name), name)

    def call_later(
        self, delay_s: float, callback: Callable[[], None], name: str
    ) -> asyncio.TimerHandle:
        """Call a function later; its failure is that of a vital task.

        Args:
            delay_s: The delay in seconds.
            callback: The function to call, on the event loop.
            name: Its name in the log.

        Returns:
            The timer, which can be cancelled.
        """

        def call() -> None:
            if self._stopped:
                return
            try:
                callback()
            except Exception as error:
                self._report(f"{self._name}: {name}", error, is_vital=True)

        return asyncio.get_running_loop().call_later(delay_s, call)

    async def stop(self) -> None:
        """Cancel all tasks and wait until they have ended.

        May be called twice, and by one of the tasks, which is then not cancelled.
        """
        self._stopped = True
        current = asyncio.current_task()
        while True:
            running = [task for task in self._tasks if task is not current and not task.done()]
            if not running:
                return
            for task in running:
                task.cancel()
            await asyncio.wait(running, timeout=CANCEL_AGAIN_S)

    def _ended(self, task: asyncio.Task[Any]) -> None:
        is_vital = task in self._vital
        self._tasks.discard(task)
        self._vital.discard(task)
        if task.cancelled():
            return
        error = task.exception()
        if error is not None:
            self._report(task.get_name(), error, is_vital)

    def _report(self, name: str, error: BaseException, is_vital: bool) -> None:
        log.error("%s failed", name, exc_info=error)
        # What fails while the owner stops is no news.
        for listener in () if self._stopped else self._listeners:
            listener(name, error, is_vital)

    async def _repeat(self, make_work: Callable[[], Coroutine[Any, Any, None]], name: str) -> None:
        pause_s = MIN_PAUSE_S
        while True:
            try:
                await make_work()
                return
            except Exception as error:
                self._report(f"{self._name}: {name}", error, is_vital=False)
            log.warning("%s: %s starts again in %g s", self._name, name, pause_s)
            await asyncio.sleep(pause_s)
            pause_s = min(2 * pause_s, MAX_PAUSE_S)


async def run_within(seconds: float | None, work: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine for a limited time.

    Unlike `asyncio.wait_for` before Python 3.12, this never loses a cancellation of the caller;
    nor does it take a cancellation of `work` alone for one of the caller.

    Args:
        seconds: How long it may take, in seconds; None means without a limit.
        work: The coroutine. It is cancelled when the time is over.

    Returns:
        The result of `work`.

    Raises:
        asyncio.TimeoutError: The time is over.
        ConnectionAbortedError: `work` was cancelled by something else than this function, as
            gRPC's library does with the calls of a channel that is closed.
    """
    if seconds is None and sys.version_info >= (3, 11):
        return await _run_here(work)
    task = asyncio.get_running_loop().create_task(work)
    try:
        done, _ = await asyncio.wait((task,), timeout=seconds)
    finally:
        if not task.done():
            task.cancel()
            await asyncio.wait((task,))
        if not task.cancelled():
            # An exception that is never retrieved would be logged by asyncio.
            task.exception()
    if not done:
        raise asyncio.TimeoutError
    if task.cancelled():
        raise ConnectionAbortedError(f"{task.get_name()} was cancelled from outside")
    return task.result()


async def _run_here(work: Coroutine[Any, Any, T]) -> T:
    """Await a coroutine without a task of its own, which costs more than a message's handling."""
    try:
        return await work
    except asyncio.CancelledError:
        task = asyncio.current_task()
        # Typed as missing where Python is older than 3.11, and then not reached.
        if task is None or task.cancelling():  # type: ignore[attr-defined, unused-ignore]
            raise
        raise ConnectionAbortedError("the work was cancelled from outside") from None


async def run_until_first(*works: Coroutine[Any, Any, None]) -> None:
    """Run coroutines until one of them ends, then cancel the others and wait for them.

    Args:
        works: The coroutines, at least one.

    Raises:
        BaseException: The error of the first coroutine, in the order of the arguments, that failed.
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
