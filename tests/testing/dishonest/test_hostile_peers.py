"""A real node refuses hostile peers with a reason and bans them."""

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
from tests.conftest import ReportAttack
from tests.support.keys import MINERS
from tests.support.node_core import make_network_genesis
from tests.support.peer_nodes import PeerNode, running
from tests.support.transfers import sign_transfer


@pytest.fixture
async def pair(tmp_path: Path) -> AsyncIterator[tuple[PeerNode, PeerNode]]:
    """Return two of four validators that have decided two blocks."""
    genesis = make_network_genesis()
    nodes = [PeerNode(tmp_path / f"{i}", genesis, key) for i, key in enumerate(MINERS)]
    async with running(*nodes):
        for place, node in enumerate(nodes):
            for other in nodes[:place]:
                await node.network.add(other.address)
        for nonce in range(2):
            await nodes[0].pool.submit(sign_transfer(nonce, genesis_hash=genesis.hash))
            await asyncio.gather(*(node.chain.wait_above(nonce) for node in nodes))
        yield nodes[0], nodes[1]


@pytest.mark.attack
async def test_messages_of_another_network_are_refused_and_ban_their_sender(
    pair: tuple[PeerNode, PeerNode], report_attack: ReportAttack
) -> None:
    target, source = pair
    before = target.chain.ledger.app_hash
    answers = await send_foreign_messages(target.address, source.chain)
    assert answers == {
        "chain": "WRONG_CHAIN",
        "genesis": "WRONG_GENESIS",
        "transactions": "0 accepted",
        "after transactions": "BANNED",
        "a vote": "BAD_SIGNATURE",
        "more votes": "BANNED",
    }
    assert not target.pool.pending()
    assert target.chain.ledger.app_hash == before
    # The senders are banned, and the other validators are not.
    assert len(target.network.peer_set.banned()) == 2
    assert target.score(source) == 0
    report_attack(
        "strangers send handshakes, votes and transactions of another network",
        "messages of another launch under the same name were valid",
        "all are refused, and their senders banned",
    )


@pytest.mark.attack
async def test_old_messages_are_ignored_and_an_old_proposal_bans_its_sender(
    pair: tuple[PeerNode, PeerNode], report_attack: ReportAttack
) -> None:
    target, source = pair
    before = target.chain.ledger.app_hash
    votes, transactions = collect_old_messages(source.chain)
    assert len(votes) >= 6
    assert len(transactions) == 2
    answers = await send_old_messages(target.address, source.chain)
    assert answers.pop("transactions") in ("0 accepted", "2 accepted")
    assert answers == {
        "votes": "",
        "after them": "",
        # Looked at by its claim alone: its sender may not propose, which costs points.
        "a proposal": "",
        "more proposals": "BANNED",
    }
    assert not target.pool.pending()
    assert target.chain.ledger.app_hash == before
    assert len(target.network.peer_set.banned()) == 1
    report_attack(
        "strangers send old votes, transactions and proposals again",
        "no more than now",
        "nothing changes; old proposals ban their sender",
    )
