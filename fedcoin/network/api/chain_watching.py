"""Streams that follow the chain, without a queue for each watcher.

A watcher remembers the height that it has reached, and reads the blocks above it from the store.
So a slow watcher costs one number, and still gets everything in order.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator

from fedcoin.network.background_tasks import run_within
from fedcoin.network.ports.chain_port import ChainPort


async def watch_heights(chain: ChainPort, first: int) -> AsyncGenerator[int, None]:
    """Yield each height when its block is final, without gaps, until the caller stops.

    Args:
        chain: The chain of final blocks.
        first: The first height to yield, from 1; it may be above the chain.

    Yields:
        The heights from `first` on.
    """
    wanted = first
    while True:
        reached = chain.height()
        if reached < wanted:
            reached = await chain.wait_above(wanted - 1)
        while wanted <= reached:
            yield wanted
            wanted += 1


async def watch_changes(
    chain: ChainPort, max_interval_s: float | None = None
) -> AsyncGenerator[int, None]:
    """Yield the chain's height at once and after each change, until the caller stops.

    Args:
        chain: The chain of final blocks.
        max_interval_s: Yield at least this often, in seconds, also without a change; None waits for
            a change.

    Yields:
        The height. Heights that pass while the consumer is busy are left out.
    """
    reached = chain.height()
    while True:
        yield reached
        waiting = chain.wait_above(reached)
        if max_interval_s is None:
            reached = await waiting
            continue
        try:
            reached = await run_within(max_interval_s, waiting)
        except asyncio.TimeoutError:
            reached = chain.height()
