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
from fedcoin.network.ports.consensus_port import EARLY_HEIGHTS
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


def proposal(
    key: KeyPair, size: int = KIB, *, round: int = 0, seed: bytes = b"x", height: int = 7
) -> Proposal:
    return sign_proposal(height, round, -1, opaque_block(seed * size), key, GENESIS_HASH)


def vote(
    key: KeyPair,
    kind: int = PREVOTE,
    *,
    round: int = 0,
    block_hash: bytes = b"",
    height: int = 7,
) -> Vote:
    return sign_vote(kind, height, round, block_hash, key, GENESIS_HASH)


@pytest.fixture
def early() -> EarlyMessages:
    return EarlyMessages(max_block_bytes=16 * KIB)


def test_only_who_may_have_the_turn_may_propose_and_once(early: EarlyMessages) -> None:
    orders = [ORDER, OTHER_ORDER]
    turns = [key_of_turn(order) for order in orders]
    assert turns[0] != turns[1]
    for key in COMMITTEE.keys:
        assert early.keep(proposal(key), 6, orders) == (key in turns)
        assert not early.keep(proposal(key, seed=b"y"), 6, orders)
    assert not early.keep(proposal(STRANGER), 6, orders)
    assert len(early.take(7)) == 2


def test_a_validator_has_one_vote_of_each_kind(early: EarlyMessages) -> None:
    for key in COMMITTEE.keys:
        for kind in (PREVOTE, PRECOMMIT):
            assert early.keep(vote(key, kind), 6, [ORDER])
            assert not early.keep(vote(key, kind, block_hash=b"h" * 32), 6, [ORDER])
    assert not early.keep(vote(STRANGER), 6, [ORDER])
    assert len(early.take(7)) == 2 * len(COMMITTEE.keys)
    assert early.take(7) == []


def test_later_rounds_are_not_kept(early: EarlyMessages) -> None:
    turn = key_of_turn(ORDER)
    rejected: list[Message] = [proposal(turn, round=1), vote(turn, round=1)]
    assert not any(early.keep(message, 6, [ORDER]) for message in rejected)


def test_the_bytes_are_bounded(early: EarlyMessages) -> None:
    orders = [ProposerOrder(ORDER.validators, (0, 0, 0, 0), k.address) for k in COMMITTEE.keys]
    sizes = [16 * KIB, 16 * KIB, 16 * KIB, 32 * KIB]
    kept = [
        early.keep(proposal(key, size), 6, orders)
        for key, size in zip(COMMITTEE.keys, sizes, strict=True)
    ]
    assert kept == [True, True, True, False]
    assert 48 * KIB < early.size <= MAX_EARLY_BLOCKS * 16 * KIB
    early.take(7)
    assert early.size == 0


def test_a_node_that_is_some_blocks_behind_keeps_what_it_needs_to_decide_them(
    early: EarlyMessages,
) -> None:
    order, turns = ORDER, []
    for height in range(7, 7 + EARLY_HEIGHTS):
        turns.append(key_of_turn(order))
        others = [key for key in COMMITTEE.keys if key is not turns[-1]]
        assert early.keep(proposal(turns[-1], height=height), 6, [ORDER])
        assert not any(early.keep(proposal(key, height=height), 6, [ORDER]) for key in others)
        assert early.keep(vote(others[0], height=height), 6, [ORDER])
        order = order.next_height(order.validators)
    assert len(set(turns)) > 1
    beyond = 7 + EARLY_HEIGHTS
    assert not early.keep(vote(COMMITTEE.keys[0], height=beyond), 6, [ORDER])
    assert not early.keep(proposal(key_of_turn(order), height=beyond), 6, [ORDER])
    for height in range(7, 7 + EARLY_HEIGHTS):
        assert [message.height for message in early.take(height)] == [height, height]
    assert early.size == 0


def test_what_is_for_heights_that_were_skipped_is_dropped(early: EarlyMessages) -> None:
    key = COMMITTEE.keys[0]
    assert all(early.keep(vote(key, height=height), 6, [ORDER]) for height in (7, 8, 9, 10))
    assert [message.height for message in early.take(9)] == [9]
    assert [message.height for message in early.take(10)] == [10]
    assert early.size == 0


def test_later_heights_leave_room_for_the_next_one(early: EarlyMessages) -> None:
    order = ORDER
    later = []
    for height in range(7, 7 + EARLY_HEIGHTS):
        later.append(early.keep(proposal(key_of_turn(order), 16 * KIB, height=height), 6, [ORDER]))
        order = order.next_height(order.validators)
    assert later[:2] == [True, False]
    turn = key_of_turn(OTHER_ORDER)
    assert early.keep(proposal(turn, 16 * KIB), 6, [OTHER_ORDER])


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
    assert node.chain.next_orders()[0] is before[0], "it is computed once"
    draft = await node.chain.build(proposer.address, [])
    assert draft.block.height == 1
    (after,) = node.chain.next_orders()
    assert [order.proposer(0) for order in before] == [after.proposer(0)]


async def test_a_node_decides_three_blocks_whose_messages_come_in_the_wrong_order(
    members: list[InMemoryNode],
) -> None:
    """It dropped what was for the height after the next one, and waited until a peer sent it."""
    order, turns = members[0].chain.ledger.proposer_order(), []
    for _ in range(4):
        turns.append(order.proposer(0).public_key)
        order = order.next_height(order.validators)
    # The others go on without the one that has the fourth turn.
    behind = next(m for m, key in zip(members, MINERS, strict=True) if key.public_key == turns[3])
    held: list[Message] = []
    wire = members[0].wire
    send = wire.send

    def hold_back(sender: InMemoryNode, message: Message) -> None:
        if sender is not behind:
            held.append(message)
        send(sender, message)

    wire.send = hold_back  # type: ignore[method-assign]
    wire.drops = lambda sender, receiver: behind in (sender, receiver)
    for member in members:
        member.start()
    others = [member for member in members if member is not behind]
    for height in (1, 2, 3):
        await others[0].pool.submit(
            sign_transfer(height - 1, genesis_hash=others[0].chain.genesis.hash)
        )
        await reach(others, height)
    assert behind.chain.height() == 0
    for message in sorted(held, key=lambda message: -message.height):
        if isinstance(message, Proposal):
            await behind.agreement.receive_proposal(message, b"")
        else:
            await behind.agreement.receive_vote(message, b"")
    await reach([behind], 3, timeout=10)
