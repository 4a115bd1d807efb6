"""Keeping up with the chain: streams without a queue for each watcher.

A watcher remembers the height that it has reached and reads what comes after it from the
store. However slow it is, it costs one number; what it missed it still gets, in order.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator

from fedcoin.network.background_tasks import run_within
from fedcoin.network.ports import ChainPort


async def watch_heights(chain: ChainPort, first: int) -> AsyncGenerator[int, None]:
    """Each height from `first` on, once it is final, without end."""
    wanted = first
    while True:
        reached = chain.height()
        if reached < wanted:
            reached = await chain.wait_above(wanted - 1)
        while wanted <= reached:
            yield wanted
            wanted += 1


async def watch_changes(chain: ChainPort, every: float | None = None) -> AsyncGenerator[int, None]:
    """The chain's height at once, after each change, and at least `every` so many seconds.

    Heights that pass while the consumer is busy are skipped.
    """
    reached = chain.height()
    while True:
        yield reached
        waiting = chain.wait_above(reached)
        if every is None:
            reached = await waiting
            continue
        try:
            reached = await run_within(every, waiting)
        except asyncio.TimeoutError:
            reached = chain.height()
