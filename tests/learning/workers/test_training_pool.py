from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator

import pytest

from fedcoin.data.errors import RefusalError
from fedcoin.learning.errors import LearningCode, WorkerError
from fedcoin.learning.training.client_data import ClientData, prepare_training
from fedcoin.learning.workers.training_pool import TrainingPool
from tests.support.waiting import until


@pytest.fixture
async def pool() -> AsyncIterator[TrainingPool]:
    pool = TrainingPool(2)
    yield pool
    await pool.stop()


async def test_callers_share_the_processes(pool: TrainingPool) -> None:
    assert pool.pids == (0, 0)
    calls = [pool.run("while sleeping", time.sleep, 0.2) for _ in range(4)]
    began = time.monotonic()
    used = await asyncio.gather(*calls, *(pool.run("while asking", os.getpid) for _ in range(8)))
    assert time.monotonic() - began >= 0.4
    assert {pid for pid in used if pid is not None} <= {*pool.pids}
    assert len({*pool.pids}) == 2


async def test_a_second_process_is_started_only_when_the_first_is_busy(pool: TrainingPool) -> None:
    pids = {await pool.run("while asking", os.getpid) for _ in range(5)}
    assert {*pool.pids} == {*pids, 0}
    assert len(pids) == 1


async def test_a_killed_process_is_replaced(pool: TrainingPool) -> None:
    first = await pool.run("while asking", os.getpid)
    sleeping = asyncio.create_task(pool.run("while sleeping", time.sleep, 1.0))
    await asyncio.sleep(0.1)
    os.kill(first, signal.SIGKILL)
    await sleeping
    assert await pool.run("while asking", os.getpid) != first


async def test_a_refusal_leaves_the_process_free(pool: TrainingPool) -> None:
    for _ in range(3):
        with pytest.raises(RefusalError) as caught:
            await pool.run("while training", prepare_training, ClientData("missing.npz"))
        assert caught.value.code is LearningCode.UNKNOWN_DATASET
    assert await pool.run("while asking", os.getpid) in pool.pids


async def test_a_caller_that_gives_up_frees_its_place(pool: TrainingPool) -> None:
    abandoned = [asyncio.create_task(pool.run("while asleep", time.sleep, 0.5)) for _ in range(2)]
    await until(lambda: all(pool.pids))
    for call in abandoned:
        call.cancel()
    assert await asyncio.wait_for(pool.run("while asking", os.getpid), 30) in pool.pids


async def test_a_stopped_pool_refuses(pool: TrainingPool) -> None:
    sleeping = asyncio.create_task(pool.run("while sleeping", time.sleep, 60))
    await until(lambda: any(pool.pids))
    await pool.stop()
    with pytest.raises(WorkerError):
        await sleeping
    with pytest.raises(WorkerError, match="stopped"):
        await pool.run("while asking", os.getpid)


def test_a_pool_has_a_process() -> None:
    with pytest.raises(ValueError, match="0 processes"):
        TrainingPool(0)
