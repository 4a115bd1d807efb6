"""Miners that bond late or withhold selectively, on a real chain with a real worker."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from google.protobuf.message import Message

from fedcoin.application.mining.miner import Miner
from fedcoin.contract.state import records
from fedcoin.data.crypto.keys import KeyPair
from fedcoin.data.messages.transactions import Transaction
from fedcoin.incentive.draw_scores import compute_score
from fedcoin.learning.workers.pool import WorkerPool
from fedcoin.testing.dishonest.power_seekers import LateBonder, SelectiveWithholder
from fedcoin.v1 import block_pb2
from tests.conftest import ReportAttack
from tests.support.genesis import FDC
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
async def site(tmp_path: Path, worker: WorkerPool) -> AsyncIterator[MiningSite]:
    here = MiningSite(tmp_path, worker, miners=4)
    yield here
    await here.close()


async def run_task(
    here: MiningSite, make: Callable[..., Miner], number: int
) -> tuple[bytes, KeyPair]:
    """Run one task with one dishonest miner of four, and let open windows end."""

    async def submit(action: Message) -> Transaction:
        return await here.chain.submit(dishonest, action)

    await here.job.open_campaign()
    dishonest = here.chain.miners[number]
    here.start(*(key for key in here.chain.miners if key != dishonest))
    miner = make(
        dishonest,
        here.chain.chain,
        here.pool,
        here.jobs,
        submit,
        here.folder_of(dishonest),
        here.chain.clock,
    )
    here.chain.owner.start(miner.run(), "dishonest")
    opening = await here.job.open_task()
    for _ in range(8):
        await here.chain.run()
        if here.chain.task(opening.hash).phase == SETTLED:
            break
        await here.chain.produce(after_ms=WINDOW_MS)
    assert here.chain.task(opening.hash).phase == SETTLED
    return opening.hash, dishonest


def find_drawn(here: MiningSite, task_id: bytes) -> bytes:
    """The miner with the highest score of those that opened, all with equal power."""
    reader: Any = here.chain.chain.ledger.reader
    challenge = here.chain.task(task_id).challenge
    opened = [a for a, m in records.MINERS.scan(reader, task_id) if m.salt]
    return max(opened, key=lambda address: compute_score(challenge, address, 1))


@pytest.mark.attack
@pytest.mark.parametrize("number", range(4))
async def test_coins_bonded_late_do_not_win(
    site: MiningSite, number: int, report_attack: ReportAttack
) -> None:
    task_id, late = await run_task(site, LateBonder, number)
    bond = records.BONDS.get(site.chain.chain.ledger.reader, late.address)
    assert bond is not None
    powers = [m.power for _, m in records.MINERS.scan(site.chain.chain.ledger.reader, task_id)]
    assert len(set(powers)) == 1
    # It did bond, and has taken the coins back or still holds the larger bond.
    assert bond.bond > powers[0] or bond.unbonding
    assert site.chain.task(task_id).settlement.winner == find_drawn(site, task_id)
    report_attack(
        "a miner of a real node bonds its coins when the challenge is known (`late-bonder`)",
        "wins nearly every draw",
        "no draw that its power at the opening would not win",
    )


@pytest.mark.parametrize("number", range(4))
async def test_a_selective_withholder_opens_only_what_it_wins(
    site: MiningSite, number: int
) -> None:
    task_id, owner = await run_task(site, SelectiveWithholder, number)
    record = site.chain.miner(task_id, owner)
    assert record is not None
    is_drawn = site.chain.task(task_id).settlement.winner == owner.address
    assert record.revealed == bool(record.salt) == is_drawn
    assert bool(record.reward) == is_drawn
    # Fees burn a little in any case; a deposit is the whole mining price.
    assert (site.chain.chain.ledger.totals().burned > FDC) != is_drawn
