from __future__ import annotations

import asyncio

from fedcoin.learning.workers.urgency import UrgentCallers


async def test_others_wait_for_the_last_urgent_caller() -> None:
    callers = UrgentCallers()
    await callers.wait_for_none()
    with callers.count(False):
        await callers.wait_for_none()
    with callers.count(True):
        with callers.count(True):
            waiting = asyncio.create_task(callers.wait_for_none())
            await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert not waiting.done()
    await waiting
