"""Interruptions end a body and carry a reason; other cancellations pass through."""

from __future__ import annotations

import asyncio

import pytest

from fedcoin.data.errors import RefusalError
from fedcoin.network.errors import NetworkCode
from fedcoin.network.interruption import Interruption, limit_time


def late() -> RefusalError:
    return RefusalError(NetworkCode.TIMED_OUT, "too late")


async def test_in_time() -> None:
    async with limit_time(1, late):
        await asyncio.sleep(0)


async def test_too_late_and_the_task_goes_on() -> None:
    async def body() -> None:
        async with limit_time(0.01, late):
            await asyncio.sleep(60)

    with pytest.raises(RefusalError, match="too late"):
        await body()
    await asyncio.sleep(0)


async def test_a_cancellation_from_elsewhere_stays_one() -> None:
    async def body() -> None:
        async with limit_time(60, late):
            await asyncio.sleep(60)

    task = asyncio.ensure_future(body())
    await asyncio.sleep(0.01)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_nested_limits_keep_apart() -> None:
    def inner_late() -> RefusalError:
        return RefusalError(NetworkCode.SLOW_READER, "inner")

    async def both(outer: float, inner: float) -> None:
        async with limit_time(outer, late), limit_time(inner, inner_late):
            await asyncio.sleep(60)

    with pytest.raises(RefusalError, match="too late"):
        await both(0.02, 60)
    with pytest.raises(RefusalError, match="inner"):
        await both(60, 0.02)


async def test_firing_ends_those_inside_and_those_to_come() -> None:
    stopping = Interruption()
    ended: list[str] = []

    async def body() -> None:
        try:
            with stopping.interruptible():
                await asyncio.sleep(60)
        except RefusalError as refusal:
            ended.append(str(refusal))

    tasks = [asyncio.ensure_future(body()) for _ in range(3)]
    await asyncio.sleep(0)
    stopping.fire(late)
    stopping.fire(lambda: RefusalError(NetworkCode.SLOW_READER, "second"))
    await asyncio.gather(*tasks)
    with pytest.raises(RefusalError, match="too late"), stopping.interruptible():
        pass
    assert ended == ["too late"] * 3
