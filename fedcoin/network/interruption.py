"""Stop work in an asyncio task from outside, with a refusal as the reason.

`asyncio.timeout` ends a body after a time, too, but needs Python 3.11.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager

from fedcoin.data.errors import RefusalError


class Interruption:
    """Stops the code inside `with ...interruptible()` blocks by raising a refusal in them.

    Once fired, it stops all blocks that run and all that begin later.

    ```
    stopping = Interruption()
    with stopping.interruptible():
        await long_work()  # raises `reason()` after `stopping.fire(reason)`
    ```
    """

    def __init__(self) -> None:
        """Start unfired: nothing is stopped yet."""
        self._reason: Callable[[], RefusalError] | None = None
        self._tasks: set[asyncio.Task[object]] = set()

    def fire(self, reason: Callable[[], RefusalError]) -> None:
        """Stop all `interruptible` blocks that run, and those that begin later.

        A second call changes nothing.

        Args:
            reason: Makes the refusal that is raised in each block.
        """
        if self._reason is None:
            self._reason = reason
            for task in self._tasks:
                task.cancel()

    @contextmanager
    def interruptible(self) -> Iterator[None]:
        """Mark a block of code that `fire` stops.

        The block must run in an asyncio task, and must not contain another one of this object.

        Yields:
            Nothing; the code inside the `with` block is stopped.

        Raises:
            RefusalError: The refusal that `reason` made, if `fire` was called before or during the
                block.
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
        seconds: How long the body may take, in seconds.
        reason: Makes the refusal that is raised when it takes longer.

    Yields:
        Nothing; the body is the `async with` block.

    Raises:
        RefusalError: The refusal that `reason` makes, when the time is over.
    """
    interruption = Interruption()
    loop = asyncio.get_running_loop()
    timer = loop.call_later(seconds, interruption.fire, reason)
    try:
        with interruption.interruptible():
            yield
    finally:
        timer.cancel()
