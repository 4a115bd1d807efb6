"""An event loop of asyncio whose time is virtual: waiting takes no time, and threads are calls."""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

_T = TypeVar("_T")


class _NoWaitSelector(selectors.DefaultSelector):
    """Reports how long the loop would wait, and does not wait."""

    def __init__(self, advance: Callable[[float], None]) -> None:
        super().__init__()
        self._advance = advance

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        events = super().select(0)
        if not events:
            if timeout is None:
                raise RuntimeError("every task waits, and no timer is set: the simulation is stuck")
            self._advance(timeout)
        return events


class VirtualTimeLoop(asyncio.SelectorEventLoop):
    """Runs timers in their order without waiting; what would run in a thread runs at once."""

    def __init__(self) -> None:
        """Start at time 0."""
        self._virtual_seconds = 0.0
        super().__init__(_NoWaitSelector(self._advance))

    def time(self) -> float:
        """Read virtual time, in seconds."""
        return self._virtual_seconds

    def run_in_executor(  # type: ignore[override]
        self, executor: Any, func: Callable[..., _T], *args: Any
    ) -> asyncio.Future[_T]:
        """Call a function now.

        Args:
            executor: Not used.
            func: What a thread would run.
            *args: Its arguments.

        Returns:
            A future that holds the result or the exception.
        """
        future: asyncio.Future[_T] = self.create_future()
        try:
            future.set_result(func(*args))
        except Exception as error:
            future.set_exception(error)
        return future

    def _advance(self, seconds: float) -> None:
        self._virtual_seconds += seconds


def run_in_virtual_time(work: Coroutine[Any, Any, _T]) -> _T:
    """Run a coroutine to its end on a loop of its own, in virtual time from 0.

    Args:
        work: The coroutine. It must wait for nothing outside of the loop, as for sockets.

    Returns:
        The result of `work`.
    """
    loop = VirtualTimeLoop()
    try:
        asyncio.set_event_loop(loop)
        return loop.run_until_complete(work)
    finally:
        asyncio.set_event_loop(None)
        loop.close()
