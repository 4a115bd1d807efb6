"""Subscribe to the events of nodes, in a process of its own, and count what comes.

Reads its settings as a line of JSON from the standard input, and stops when that ends; then it
prints how many events came, and how many subscribers missed a height or lost their stream.
"""

from __future__ import annotations

import asyncio
import json
import sys
from dataclasses import dataclass

from fedcoin.network.client.node_client import NodeClient
from fedcoin.network.client.rpc_error import RpcError


@dataclass(slots=True)
class Received:
    """What all subscribers got."""

    events: int = 0
    gaps: int = 0
    lost: int = 0


async def _subscribe(api: str, received: Received) -> None:
    last = 0
    try:
        async with NodeClient(api) as node:
            async for event in node.watch_events():
                received.events += 1
                received.gaps += bool(last) and event.block.height != last + 1
                last = event.block.height
    except RpcError:
        received.lost += 1


async def _run(apis: list[str], subscribers: int) -> Received:
    received = Received()
    tasks = [
        asyncio.ensure_future(_subscribe(apis[number % len(apis)], received))
        for number in range(subscribers)
    ]
    await asyncio.to_thread(sys.stdin.read)
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks, timeout=5)
    return received


def main() -> None:
    """Subscribe until the standard input ends."""
    settings = json.loads(sys.stdin.readline())
    received = asyncio.run(_run(settings["apis"], settings["subscribers"]))
    counts = {"events": received.events, "gaps": received.gaps, "lost": received.lost}
    print(json.dumps(counts), flush=True)


if __name__ == "__main__":
    main()
