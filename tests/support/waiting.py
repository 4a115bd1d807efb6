"""The function with which tests wait for other tasks and processes."""

from __future__ import annotations

import asyncio
import inspect
import time
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar, overload

T = TypeVar("T")

WAIT_SECONDS = 45.0
"""How long a test waits before it fails; far longer than any step takes."""
LOADED_SECONDS = 180.0
"""The limit for processes that load TensorFlow on a busy machine."""
PAUSE_SECONDS = 0.02
"""The pause between two checks of a condition."""


@overload
async def until(
    condition: Callable[..., Awaitable[T | None]],
    what: str = ...,
    *,
    seconds: float = ...,
) -> T: ...
@overload
async def until(
    condition: Callable[..., T | None],
    what: str = ...,
    *,
    seconds: float = ...,
) -> T: ...
async def until(
    condition: Callable[..., Any],
    what: str = "what the test waits for",
    *,
    seconds: float = WAIT_SECONDS,
) -> Any:
    """Evaluate `condition` again and again, and return its first result that is true.

    Args:
        condition: A function or coroutine function without parameters.
        what: What the test waits for; part of the message when it never comes.
        seconds: How long to wait at most, by the monotonic clock.

    Raises:
        AssertionError: `condition` was still false after `seconds`.
    """
    deadline = time.monotonic() + seconds
    while True:
        answer = condition()
        if inspect.isawaitable(answer):
            answer = await answer
        if answer:
            return answer
        assert time.monotonic() < deadline, f"not within {seconds:g} s: {what}"
        await asyncio.sleep(PAUSE_SECONDS)


async def let_others_run(turns: int = 100) -> None:
    """Give every task that is ready its turn many times, without waiting for the clock.

    What has not happened after this needs time to pass, or another process or thread.
    """
    for _ in range(turns):
        await asyncio.sleep(0)
