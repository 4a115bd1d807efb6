"""Validators put the answers of all miners into one block, in real voting."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

from fedcoin.data.messages.blocks import decode_block
from fedcoin.data.messages.transactions import Transaction
from tests.support.in_memory_nodes import InMemoryNode, InMemoryWire, reach
from tests.support.ledger_campaign import LedgerCampaign, additive
from tests.support.ledger_chain import LedgerChain

PAUSE_S = 0.1
"""Between two answers, in seconds: much longer than voting takes."""


async def start_with_task(folder: Path) -> tuple[list[InMemoryNode], list[Transaction]]:
    """Start four validators with an open task; return their commitments to it, too."""
    chain = LedgerChain.create(4, propose_timeout_ms=3_000)
    campaign = LedgerCampaign(chain)
    campaign.open_campaign()
    campaign.open_task(commit_window_ms=60_000)
    game = additive(1, 2, 3)
    commitments = [campaign.commit(one, campaign.tree(one, game)) for one in chain.miners]
    began = time.monotonic()
    wire = InMemoryWire()

    def read_clock_ms() -> int:
        return chain.time_ms + round(1_000 * (time.monotonic() - began))

    members = [
        InMemoryNode(wire, chain.genesis, folder / f"{i}.sqlite", key, clock=read_clock_ms)
        for i, key in enumerate(chain.miners)
    ]
    for member in members:
        for block, certificate in zip(chain.blocks, chain.certificates, strict=True):
            await member.chain.import_block(decode_block(block.raw), certificate)
        member.start()
    return members, commitments


async def test_a_block_waits_for_the_commitments_of_all_miners(tmp_path: Path) -> None:
    members, commitments = await start_with_task(tmp_path)
    before = members[0].chain.height()
    for member, commitment in zip(members, commitments, strict=True):
        await member.pool.submit(commitment)
        await asyncio.sleep(PAUSE_S)
    await reach(members, before + 1)
    stored = members[0].chain.block(before + 1)
    assert stored is not None
    assert len(decode_block(stored.raw).transactions) == len(commitments)
    for member in members:
        await member.stop()


async def test_a_block_goes_on_without_a_miner_that_does_not_commit(tmp_path: Path) -> None:
    members, commitments = await start_with_task(tmp_path)
    before = members[0].chain.height()
    for member, commitment in zip(members[1:], commitments[1:], strict=True):
        await member.pool.submit(commitment)
        await asyncio.sleep(PAUSE_S)
    await reach(members, before + 1)
    stored = members[0].chain.block(before + 1)
    assert stored is not None
    assert len(decode_block(stored.raw).transactions) == len(commitments) - 1
    for member in members:
        await member.stop()
