"""Virtual time: waiting takes no time, timers keep their order, threads are calls."""

from __future__ import annotations

import asyncio
import threading
import time

import pytest

from fedcoin.testing.scale_simulation.virtual_time import run_in_virtual_time


def test_hours_of_virtual_time_pass_at_once_and_in_order() -> None:
    woken: list[tuple[str, float]] = []

    async def wait(name: str, seconds: float) -> None:
        await asyncio.sleep(seconds)
        woken.append((name, asyncio.get_running_loop().time()))

    async def work() -> None:
        await asyncio.gather(wait("late", 7_200), wait("early", 0.5), wait("between", 60))

    began = time.monotonic()
    run_in_virtual_time(work())
    assert time.monotonic() - began < 60
    assert [name for name, _ in woken] == ["early", "between", "late"]
    assert [at for _, at in woken] == pytest.approx([0.5, 60, 7_200])


def test_what_would_run_in_a_thread_runs_in_this_one() -> None:
    async def work() -> list[object]:
        calls = (asyncio.to_thread(threading.get_ident), asyncio.to_thread(int, "no number"))
        return list(await asyncio.gather(*calls, return_exceptions=True))

    own, failed = run_in_virtual_time(work())
    assert own == threading.get_ident()
    assert isinstance(failed, ValueError)


def test_a_simulation_that_waits_for_nothing_is_stuck() -> None:
    async def work() -> None:
        await asyncio.get_running_loop().create_future()

    with pytest.raises(RuntimeError, match="the simulation is stuck"):
        run_in_virtual_time(work())
