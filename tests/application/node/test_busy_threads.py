"""Calls that take all threads of the event loop do not keep a validator from agreeing on blocks."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path

from fedcoin.application.node.node import open_node
from tests.support.training_site import node_home
from tests.support.waiting import until

MORE_THAN_THREADS = 40
"""`asyncio.to_thread` uses at most 32 threads."""


async def test_blocks_are_made_while_callers_have_all_threads(tmp_path: Path) -> None:
    home = node_home(tmp_path, max_block_interval_ms=100)
    goes_on = threading.Event()
    async with open_node(home.config({}, {"miner.warm": False}), home, asyncio.Event()) as node:
        await until(lambda: node.chain.height() >= 1)
        calls = (asyncio.to_thread(goes_on.wait, 60) for _ in range(MORE_THAN_THREADS))
        slow = [asyncio.ensure_future(call) for call in calls]
        try:
            await asyncio.sleep(0.1)
            height = node.chain.height()
            await until(lambda: node.chain.height() >= height + 3, "more blocks", seconds=10)
        finally:
            goes_on.set()
            await asyncio.gather(*slow)
