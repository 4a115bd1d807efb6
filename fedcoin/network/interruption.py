"""Ending the work of a task from outside, with a refusal as the reason.

`asyncio.timeout` ends a body after a time, too, but needs Python 3.11.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager

from fedcoin.data.errors import RefusalError


class Interruption:
    """Ends all bodies that run inside `interruptible`, now and later, by raising a refusal there.

    ```
    stopping = Interruption()
    with stopping.interruptible():
        await long_work()  # raises `reason()` after `stopping.fire(reason)`
    ```
    """

    def __init__(self) -> None:
        """Begin without a reason."""
        self._reason: Callable[[], RefusalError] | None = None
        self._tasks: set[asyncio.Task[object]] = set()

    def fire(self, reason: Callable[[], RefusalError]) -> None:
        """End all bodies that run, and those that begin later.

        Args:
            reason: Makes the refusal for each body. A second call changes nothing.
        """
        if self._reason is None:
            self._reason = reason
            for task in self._tasks:
                task.cancel()

    @contextmanager
    def interruptible(self) -> Iterator[None]:
        """Run a body that `fire` ends. It runs in a task, and is not nested in itself.

        Yields:
            Nothing.

        Raises:
            RefusalError: The reason that `fire` was given, before or during the body.
        """
        if self._reason is not None:
            raise self._reason()
        task = asyncio.current_task()
        assert task is not None, "only a task can be interrupted"
        self._tasks.add(task)
        try:
            yield
        except asyncio.CancelledError:
            if self._reason is None:
                raise
            # From Python 3.11 on a task counts how often it was cancelled.
            if hasattr(task, "uncancel"):
                task.uncancel()
            raise self._reason() from None
        finally:
            self._tasks.discard(task)


@asynccontextmanager
async def limit_time(seconds: float, reason: Callable[[], RefusalError]) -> AsyncIterator[None]:
    """Run a body for a limited time.

    Args:
        seconds: How long the body may take.
        reason: Makes the refusal that is raised when it takes longer.

    Yields:
        Nothing.

    Raises:
        RefusalError: What `reason` makes.
    """
    interruption = Interruption()
    loop = asyncio.get_running_loop()
    timer = loop.call_later(seconds, interruption.fire, reason)
    try:
        with interruption.interruptible():
            yield
    finally:
        timer.cancel()
