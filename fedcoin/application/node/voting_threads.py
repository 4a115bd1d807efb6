"""Threads for the work without which no block is agreed on.

Replies to callers are made in the event loop's own threads, of which there are few. Many slow calls
at once fill them, and what waits in their queue may be a vote. So votes are signed, and blocks
built, executed and stored, in threads that no call can take.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Final, ParamSpec, TypeVar

_Arguments = ParamSpec("_Arguments")
_Result = TypeVar("_Result")

_THREADS: Final = ThreadPoolExecutor(4, thread_name_prefix="voting")


async def run_for_voting(
    function: Callable[_Arguments, _Result], *args: _Arguments.args, **kwargs: _Arguments.kwargs
) -> _Result:
    """Run a function in a thread that is kept for voting, as `asyncio.to_thread` does in any.

    Args:
        function: What to run; it must not wait for callers or peers.
        *args: Its arguments.
        **kwargs: Its named arguments.

    Returns:
        What the function returns; what it raises is raised.
    """
    loop = asyncio.get_running_loop()
    return await loop.run_in_executor(_THREADS, partial(function, *args, **kwargs))
