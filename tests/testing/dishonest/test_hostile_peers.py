"""Strangers at a real node's door: told why, banned, and nothing changes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from fedcoin.testing.dishonest.hostile_peers import (
    collect_old_messages,
    send_foreign_messages,
    send_old_messages,
)
from tests.support.keys import MINERS
from tests.support.node_core import make_network_genesis
from tests.support.peer_nodes import PeerNode, running
from tests.support.transfers import sign_transfer


@pytest.fixture
async def pair(tmp_path: Path) -> AsyncIterator[tuple[PeerNode, PeerNode]]:
    """Two of four validators that have decided two blocks."""
    genesis = make_network_genesis()
    nodes = [PeerNode(tmp_path / f"{i}", genesis, key) for i, key in enumerate(MINERS)]
    async with running(*nodes):
        for place, node in enumerate(nodes):
            for other in nodes[:place]:
                await node.network.add(other.address)
        for nonce in range(2):
            await nodes[0].pool.submit(sign_transfer(nonce))
            await asyncio.gather(*(node.chain.wait_above(nonce) for node in nodes))
        yield nodes[0], nodes[1]


async def test_what_another_network_brings_is_refused_and_bans(
    pair: tuple[PeerNode, PeerNode],
) -> None:
    target, source = pair
    before = target.chain.ledger.app_hash
    said = await send_foreign_messages(target.address, source.chain)
    assert said == {
        "chain": "WRONG_CHAIN",
        "genesis": "WRONG_GENESIS",
        "transactions": "0 accepted",
        "after transactions": "BANNED",
        "a vote": "BAD_SIGNATURE",
        "more votes": "BANNED",
    }
    assert not target.pool.pending()
    assert target.chain.ledger.app_hash == before
    # Who brought it is banned; the neighbours are not.
    assert len(target.network.peer_set.banned()) == 2
    assert target.score(source) == 0


async def test_what_is_old_is_ignored_and_an_old_block_bans(
    pair: tuple[PeerNode, PeerNode],
) -> None:
    target, source = pair
    before = target.chain.ledger.app_hash
    votes, transactions = collect_old_messages(source.chain)
    assert len(votes) >= 6
    assert len(transactions) == 2
    said = await send_old_messages(target.address, source.chain)
    assert said.pop("transactions") in ("0 accepted", "2 accepted")
    assert said == {
        "votes": "",
        "after them": "",
        "a proposal": "MALFORMED",
        "more proposals": "BANNED",
    }
    assert not target.pool.pending()
    assert target.chain.ledger.app_hash == before
    assert len(target.network.peer_set.banned()) == 1
