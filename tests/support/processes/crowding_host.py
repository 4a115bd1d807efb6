"""Open many calls to a node from another address of this machine, and hold them.

Usage: python -m tests.support.processes.crowding_host ADDRESS METHOD half|whole

With `half`, the calls carry no request. Prints `ready` when all calls are open or have ended, or
the node takes no further connections.
"""

from __future__ import annotations

import asyncio
import sys
from contextlib import AsyncExitStack
from typing import Any

from fedcoin.network.client.channels import open_channel
from tests.support.other_host import forwarding_to

CONNECTIONS = 12
CALLS_OF_CONNECTION = 250
KEPT_OUT_S = 15.0
"""A connection that takes longer, in seconds, is one that the node's kernel drops."""


async def crowd(target: str, method: str, *, whole: bool) -> None:
    async with AsyncExitStack() as stack:
        address = await stack.enter_async_context(forwarding_to(target))
        calls: list[Any] = []
        for number in range(CONNECTIONS):
            # Channels with different options do not share a connection.
            channel = await stack.enter_async_context(
                open_channel(address, max_message_bytes=1_000_000 + number)
            )
            try:
                await asyncio.wait_for(channel.channel_ready(), KEPT_OUT_S)
            except asyncio.TimeoutError:
                break  # It is kept out.
            open_call: Any = channel.stream_stream(method)
            calls += [open_call() for _ in range(CALLS_OF_CONNECTION)]
            if whole:
                await asyncio.gather(*(call.write(b"") for call in calls), return_exceptions=True)
            await asyncio.sleep(0.1)
        print("ready", sum(not call.done() for call in calls), flush=True)
        await asyncio.sleep(600)


if __name__ == "__main__":
    asyncio.run(crowd(sys.argv[1], sys.argv[2], whole=sys.argv[3] == "whole"))
