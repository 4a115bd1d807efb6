"""Ending what runs in a task from outside it, with a reason (asyncio.timeout is too new)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager

from fedcoin.data.errors import RefusalError


class Interruption:
    """Ends the bodies that are under way: each raises the refusal that it ends with.

    >>> stopping = Interruption()
    >>> with stopping.watched():
    ...     await something_long()
    """

    def __init__(self) -> None:
        self._reason: Callable[[], RefusalError] | None = None
        self._tasks: set[asyncio.Task[object]] = set()

    def fire(self, reason: Callable[[], RefusalError]) -> None:
        """End all bodies, now and from now on. The first reason counts."""
        if self._reason is None:
            self._reason = reason
            for task in self._tasks:
                task.cancel()

    @contextmanager
    def watched(self) -> Iterator[None]:
        """A body that `fire` ends; it must belong to a task. Not to be nested in itself."""
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
            # From 3.11 on a task counts how often it was cancelled.
            if hasattr(task, "uncancel"):
                task.uncancel()
            raise self._reason() from None
        finally:
            self._tasks.discard(task)


@asynccontextmanager
async def limit_time(seconds: float, late: Callable[[], RefusalError]) -> AsyncIterator[None]:
    """Raise `late()` when the body takes longer than `seconds`."""
    interruption = Interruption()
    loop = asyncio.get_running_loop()
    timer = loop.call_later(seconds, interruption.fire, late)
    try:
        with interruption.watched():
            yield
    finally:
        timer.cancel()
