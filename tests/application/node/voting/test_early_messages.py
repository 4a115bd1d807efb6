"""What a node keeps of the height after the one that is being decided, and what it passes on."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from fedcoin.application.node.voting.early_messages import MAX_EARLY_BLOCKS, EarlyMessages
from fedcoin.consensus.effects import Message
from fedcoin.consensus.proposer_order import ProposerOrder
from fedcoin.data.crypto.keys import KeyPair
from fedcoin.data.messages.votes import (
    PRECOMMIT,
    PREVOTE,
    Proposal,
    Vote,
    sign_proposal,
    sign_vote,
)
from fedcoin.testing.consensus_simulation.block_application import opaque_block
from tests.conftest import ReportAttack
from tests.support.genesis import GENESIS_HASH
from tests.support.in_memory_nodes import InMemoryNode, InMemoryWire, make_nodes, reach
from tests.support.keys import MINERS, STRANGER
from tests.support.node_core import make_network_genesis
from tests.support.signing_validators import SigningValidators
from tests.support.transfers import sign_transfer

KIB = 1024
COMMITTEE = SigningValidators()
ORDER = ProposerOrder.first(COMMITTEE.validators)
OTHER_ORDER = ORDER.next_height(ORDER.validators)


def key_of_turn(order: ProposerOrder) -> KeyPair:
    turn = order.proposer(0).address
    return next(key for key in COMMITTEE.keys if key.address == turn)


def proposal(key: KeyPair, size: int = KIB, *, round: int = 0, seed: bytes = b"x") -> Proposal:
    return sign_proposal(7, round, -1, opaque_block(seed * size), key, GENESIS_HASH)


def vote(key: KeyPair, kind: int = PREVOTE, *, round: int = 0, block_hash: bytes = b"") -> Vote:
    return sign_vote(kind, 7, round, block_hash, key, GENESIS_HASH)


@pytest.fixture
def early() -> EarlyMessages:
    return EarlyMessages(max_block_bytes=16 * KIB)


def test_only_who_may_have_the_turn_may_propose_and_once(early: EarlyMessages) -> None:
    orders = [ORDER, OTHER_ORDER]
    turns = [key_of_turn(order) for order in orders]
    assert turns[0] != turns[1]
    for key in COMMITTEE.keys:
        assert early.keep(proposal(key), orders) == (key in turns)
        assert not early.keep(proposal(key, seed=b"y"), orders)
    assert not early.keep(proposal(STRANGER), orders)
    assert len(early.take()) == 2


def test_a_validator_has_one_vote_of_each_kind(early: EarlyMessages) -> None:
    for key in COMMITTEE.keys:
        for kind in (PREVOTE, PRECOMMIT):
            assert early.keep(vote(key, kind), [ORDER])
            assert not early.keep(vote(key, kind, block_hash=b"h" * 32), [ORDER])
    assert not early.keep(vote(STRANGER), [ORDER])
    assert len(early.take()) == 2 * len(COMMITTEE.keys)
    assert early.take() == []


def test_later_rounds_are_not_kept(early: EarlyMessages) -> None:
    turn = key_of_turn(ORDER)
    rejected: list[Message] = [proposal(turn, round=1), vote(turn, round=1)]
    assert not any(early.keep(message, [ORDER]) for message in rejected)


def test_the_bytes_are_bounded(early: EarlyMessages) -> None:
    orders = [ProposerOrder(ORDER.validators, (0, 0, 0, 0), k.address) for k in COMMITTEE.keys]
    sizes = [16 * KIB, 16 * KIB, 16 * KIB, 32 * KIB]
    kept = [
        early.keep(proposal(key, size), orders)
        for key, size in zip(COMMITTEE.keys, sizes, strict=True)
    ]
    assert kept == [True, True, True, False]
    assert 48 * KIB < early.size <= MAX_EARLY_BLOCKS * 16 * KIB
    early.take()
    assert early.size == 0


@pytest.fixture
async def members(tmp_path: Path) -> AsyncIterator[list[InMemoryNode]]:
    made = make_nodes(tmp_path, make_network_genesis(), InMemoryWire())
    yield made
    for member in made:
        await member.stop()


@pytest.mark.attack
async def test_a_validator_cannot_fill_a_node_with_proposals_for_the_next_height(
    members: list[InMemoryNode], report_attack: ReportAttack
) -> None:
    """512 proposals of 1 MB from one validator were kept, and passed on to all peers."""
    node, genesis = members[0], members[0].chain.genesis
    (order,) = node.chain.next_orders()
    height = node.agreement.status().height + 1
    passed_on = 0
    for key in MINERS:
        for number in range(50):
            block = opaque_block(bytes([number]) * KIB)
            sent = sign_proposal(height, number, -1, block, key, genesis.hash)
            passed_on += await node.agreement.receive_proposal(sent, b"")
    assert passed_on == 1
    report_attack(
        "validators send 200 proposals for the next height to a node",
        "512 messages of up to 1 MB are kept, and passed on to every peer",
        f"{passed_on} is kept and passed on: that of the next proposer",
    )
    turn = order.proposer(0).public_key
    assert turn in {key.public_key for key in MINERS}
    for member in members:
        member.start()
    await node.pool.submit(sign_transfer(0, genesis_hash=genesis.hash))
    await reach(members, 1)


async def test_an_executed_block_says_who_has_the_next_turn(members: list[InMemoryNode]) -> None:
    node = members[0]
    proposer = node.chain.ledger.proposer(0)
    before = node.chain.next_orders()
    draft = await node.chain.build(proposer.address, [])
    assert draft.block.height == 1
    (after,) = node.chain.next_orders()
    assert [order.proposer(0) for order in before] == [after.proposer(0)]
