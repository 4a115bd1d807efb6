"""Precedence of urgent callers, such as the audit of a block, over mining."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager


class UrgentCallers:
    """Counts the urgent callers, so that others can wait until there is none.

    All methods must be called in one event loop.
    """

    def __init__(self) -> None:
        """Begin without an urgent caller."""
        self._num_callers = 0
        self._no_caller = asyncio.Event()
        self._no_caller.set()

    @contextmanager
    def count(self, urgent: bool) -> Iterator[None]:
        """Count a caller as urgent while the body of the `with` statement runs.

        Args:
            urgent: Whether the caller is urgent; if not, nothing is counted.

        Yields:
            Nothing; the caller is counted inside the `with` block.
        """
        if not urgent:
            yield
            return
        self._num_callers += 1
        self._no_caller.clear()
        try:
            yield
        finally:
            self._num_callers -= 1
            if not self._num_callers:
                self._no_caller.set()

    async def wait_for_none(self) -> None:
        """Wait, without a time limit, until no urgent caller is counted."""
        await self._no_caller.wait()
