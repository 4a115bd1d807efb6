"""A dishonest miner on a real chain with a real worker is refused and loses its deposit."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from fedcoin.data.crypto.keys import KeyPair
from fedcoin.data.messages.transactions import Transaction
from fedcoin.learning.workers.pool import WorkerPool
from fedcoin.testing.dishonest.dishonest_miner import DishonestMiner
from fedcoin.testing.dishonest.mining_strategies import MINING_STRATEGIES
from fedcoin.v1 import block_pb2, task_pb2
from fedcoin.v1.transaction_pb2 import CommitShapley, DeclineTask, RevealShapley
from tests.conftest import ReportAttack
from tests.support.inline_workers import InlineExecutor
from tests.support.mining_site import MiningSite

SETTLED = block_pb2.TASK_PHASE_SETTLED
WINDOW_MS = 10_000


@pytest_asyncio.fixture
async def worker() -> AsyncIterator[WorkerPool]:
    worker = WorkerPool(executor=InlineExecutor())
    yield worker
    await worker.stop()


@pytest_asyncio.fixture
async def site(tmp_path: Path, worker: WorkerPool) -> AsyncIterator[Callable[..., MiningSite]]:
    opened: list[MiningSite] = []

    def make(**options: Any) -> MiningSite:
        opened.append(MiningSite(tmp_path, worker, miners=4, **options))
        return opened[-1]

    yield make
    for here in opened:
        await here.close()


def make_dishonest_miner(here: MiningSite, key: KeyPair, kind: str) -> DishonestMiner:
    async def submit(action: CommitShapley | RevealShapley | DeclineTask) -> Transaction:
        return await here.chain.submit(key, action)

    return DishonestMiner(
        MINING_STRATEGIES[kind],
        key,
        here.chain.chain,
        here.pool,
        here.jobs,
        submit,
        here.folder_of(key),
        here.chain.clock,
    )


async def run_task(here: MiningSite, kind: str) -> tuple[Any, KeyPair]:
    """Run one task with one dishonest miner of four, and let open windows end."""
    await here.job.open_campaign()
    first, *others = here.chain.miners
    here.start(*others)
    here.chain.owner.start(make_dishonest_miner(here, first, kind).run(), "dishonest")
    opening = await here.job.open_task()
    for _ in range(8):
        await here.chain.run()
        if here.chain.task(opening.hash).phase == SETTLED:
            break
        await here.chain.produce(after_ms=WINDOW_MS)
    return opening, first


@pytest.mark.attack
@pytest.mark.parametrize(
    ("kind", "schedule"),
    [
        ("copier", task_pb2.SCHEDULE_PERMUTATION),
        ("reveal-copier", task_pb2.SCHEDULE_PERMUTATION),
        ("mean-publisher", task_pb2.SCHEDULE_PERMUTATION),
        ("mean-publisher", task_pb2.SCHEDULE_EXACT),
        ("inflated-count", task_pb2.SCHEDULE_EXACT),
        ("invented-vector", task_pb2.SCHEDULE_ANTITHETIC),
        ("withholder", task_pb2.SCHEDULE_PERMUTATION),
    ],
)
async def test_a_dishonest_miner_loses_its_deposit(
    site: Callable[..., MiningSite], kind: str, schedule: int, report_attack: ReportAttack
) -> None:
    here = site(schedule=schedule)
    opening, first = await run_task(here, kind)
    task = here.chain.task(opening.hash)
    assert task.phase == SETTLED
    assert task.settlement.winner != first.address
    record = here.chain.miner(opening.hash, first)
    assert record is not None
    assert not record.revealed
    assert here.chain.chain.ledger.totals().burned > 0
    for other in here.chain.miners[1:]:
        honest = here.chain.miner(opening.hash, other)
        assert honest is not None
        assert honest.revealed
    report_attack(
        f"one miner of four is dishonest (`{kind}`)",
        "no more than now",
        "wins nothing, and loses its deposit",
    )
