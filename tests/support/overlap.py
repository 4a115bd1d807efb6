"""Counts how many calls of an asynchronous function run at once."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any


class Overlap:
    """Calls a function, and remembers the largest number of calls that ran at once."""

    def __init__(self, function: Callable[..., Awaitable[Any]]) -> None:
        self._function = function
        self._running = 0
        self.calls = 0
        self.most = 0

    async def __call__(self, *args: Any) -> Any:
        self.calls += 1
        self._running += 1
        self.most = max(self.most, self._running)
        try:
            await asyncio.sleep(0.01)
            return await self._function(*args)
        finally:
            self._running -= 1
