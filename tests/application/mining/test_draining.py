"""A miner that drains: it proves what it has committed to, and declines the rest."""

from __future__ import annotations

import asyncio

import pytest

from fedcoin.application.mining.miner import Miner
from fedcoin.data.crypto.keys import KeyPair
from fedcoin.data.messages.transactions import action_name
from fedcoin.v1 import block_pb2
from tests.support.mining_site import MiningSite, OpenMiningSite
from tests.support.waiting import until

pytestmark = pytest.mark.asyncio(loop_scope="module")

SETTLED = block_pb2.TASK_PHASE_SETTLED


def start(here: MiningSite) -> Miner:
    """Start all miners; returns the first."""
    first, *others = here.chain.miners
    miner = here.miner(first)
    here.chain.owner.start(miner.run(), "miner")
    here.start(*others)
    return miner


def actions_of(here: MiningSite, key: KeyPair) -> list[str]:
    return [action_name(sent.body) for sent in here.submitted if sent.sender == key.address]


async def test_what_is_committed_is_proved_before_the_end(site: OpenMiningSite) -> None:
    here = site()
    await here.job.open_campaign()
    miner, key = start(here), here.chain.miners[0]
    opening = await here.job.open_task()
    await until(lambda: "commit_shapley" in actions_of(here, key))
    miner.draining.ask()
    assert miner.draining.at_stake >= 0
    drained = asyncio.create_task(miner.draining.wait())
    await asyncio.sleep(0.05)
    assert not drained.done()  # its commitment waits for a block
    await here.chain.run()
    await asyncio.wait_for(drained, 10)
    assert here.chain.task(opening.hash).phase == SETTLED
    record = here.chain.miner(opening.hash, key)
    assert record is not None
    assert record.revealed
    assert miner.draining.at_stake == 0
    assert actions_of(here, key) == ["commit_shapley", "reveal_shapley", "reveal_shapley"]


async def test_new_tasks_are_declined_so_that_nobody_waits(site: OpenMiningSite) -> None:
    here = site()
    await here.job.open_campaign()
    miner, key = start(here), here.chain.miners[0]
    miner.draining.ask()
    await asyncio.wait_for(miner.draining.wait(), 10)  # nothing is at stake
    opening = await here.job.open_task()
    await here.chain.run()
    task = here.chain.task(opening.hash)
    assert task.phase == SETTLED
    assert here.chain.miner(opening.hash, key) is None
    assert actions_of(here, key) == ["decline_task"]
