"""Transactions of many signatures are verified at a pace, and cost who relays them nothing."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path

import pytest

from fedcoin.contract.admission import min_fee
from fedcoin.data.crypto.key_policies import MAX_KEYS, make_policy
from fedcoin.data.messages.transactions import Transaction, decode_transaction
from fedcoin.network.peers.protection.limits import LIMITS, Limit
from fedcoin.v1.transaction_pb2 import TransactionBody
from tests.conftest import ReportAttack
from tests.support.genesis import FDC
from tests.support.keys import ALICE, BOB, MINERS
from tests.support.ledger_chain import LedgerChain
from tests.support.peer_nodes import FAST, PeerNode, running
from tests.support.shared_accounts import members_of, sign_shared
from tests.support.transfers import transfer_to
from tests.support.waiting import until

KEYS = members_of(MAX_KEYS)
PURSE = make_policy(MAX_KEYS, [key.public_key for key in KEYS])
"""16 of 16 keys."""
KIND = "SignedTransaction"


@pytest.fixture
def few_signatures(monkeypatch: pytest.MonkeyPatch) -> Limit:
    """Allow 64 signatures at once, and 400 a second."""
    limit = replace(LIMITS[KIND], rate=400, burst=64)
    monkeypatch.setattr("fedcoin.network.peers.protection.limits.LIMITS", {**LIMITS, KIND: limit})
    return limit


@pytest.fixture
def chain() -> LedgerChain:
    """A chain on which the account has coins."""
    made = LedgerChain.create(1)
    made.produce(made.sign(ALICE, transfer_to((PURSE.address, 100 * FDC))))
    return made


@pytest.fixture
async def nodes(tmp_path: Path, chain: LedgerChain) -> AsyncIterator[list[PeerNode]]:
    """A relay, and a node that gets all from it."""
    options = replace(FAST, peer_exchange=False)
    async with AsyncExitStack() as stack:
        made: list[PeerNode] = []
        for number in range(2):
            seeds = [made[0].address] if made else []
            folder, key = tmp_path / str(number), MINERS[number]
            node = PeerNode(folder, chain.genesis, key, seeds, votes=False, options=options)
            await node.chain.import_block(chain.blocks[0], chain.certificates[0])
            await stack.enter_async_context(running(node))
            made.append(node)
        await until(lambda: all(node.linked() == 1 for node in made))
        yield made


def payment(chain: LedgerChain, nonce: int) -> Transaction:
    """Sign a payment by all 16 keys."""
    body = TransactionBody(
        chain_id=chain.genesis.chain_id,
        nonce=nonce,
        expiry_height=100,
        transfer=transfer_to((BOB.address, 1)),
    )
    body.fee = min_fee(chain.genesis.parameters, body.ByteSize() + 10, PURSE)
    raw = sign_shared(PURSE, body, KEYS, chain.genesis.hash)
    return decode_transaction(raw, chain.genesis.identity)


@pytest.mark.attack
@pytest.mark.usefixtures("few_signatures")
async def test_who_relays_many_dear_transactions_is_not_blamed(
    nodes: list[PeerNode], chain: LedgerChain, report_attack: ReportAttack
) -> None:
    relay, receiver = nodes
    for nonce in range(40):
        await relay.pool.submit(payment(chain, nonce))
    await until(lambda: len(receiver.pool.pending()) == 40)
    assert receiver.score(relay) == 0
    report_attack(
        "submit paid transactions of 16 signatures at several nodes, 10,000 signatures a second in"
        " all, so that the nodes relay more than their peers accept",
        "honest nodes are banned for an hour by those that they relay to",
        "their score is 0; each batch waits until its signatures may be verified",
    )


async def test_signatures_are_verified_at_a_pace(
    nodes: list[PeerNode], chain: LedgerChain, few_signatures: Limit
) -> None:
    relay, receiver = nodes
    peer = receiver.peer(relay)
    loop = asyncio.get_running_loop()
    began = loop.time()
    for nonce in range(12):
        raw = payment(chain, nonce).raw
        assert await receiver.network.transaction_relay.receive(peer, [raw]) == 1
        # What it has is not verified again.
        assert await receiver.network.transaction_relay.receive(peer, [raw]) == 0
    waited = MAX_KEYS * 12 - few_signatures.burst
    assert loop.time() - began > 0.9 * waited / few_signatures.rate
    assert receiver.score(relay) == 0
