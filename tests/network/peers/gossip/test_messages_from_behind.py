"""What honest nodes that are one block behind pass on costs them nothing, whoever signed it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, suppress
from pathlib import Path

import pytest

from fedcoin.data.crypto.keys import KeyPair
from fedcoin.data.messages.blocks import build_block
from fedcoin.data.messages.votes import (
    PRECOMMIT,
    PREVOTE,
    Proposal,
    Vote,
    sign_proposal,
    sign_vote,
)
from fedcoin.network.client.rpc_error import RpcError
from fedcoin.network.peers.gossip.consensus_messages import encode, encode_status
from fedcoin.network.peers.protection.limits import LIMITS
from fedcoin.network.ports.consensus_port import Position
from fedcoin.v1.block_pb2 import BlockHeader
from fedcoin.v1.transaction_pb2 import Unbond
from tests.conftest import ReportAttack
from tests.support.consensus_streams import TestedStream
from tests.support.genesis import FDC
from tests.support.keys import STRANGER
from tests.support.ledger_chain import LedgerChain
from tests.support.peer_nodes import PeerNode, running, visiting
from tests.support.waiting import until

RELAY = KeyPair.from_seed(b"r" * 32)
HASH = b"h" * 32


class Lag:
    """A node that has decided a block with which validators left, and one that has not."""

    def __init__(self, folder: Path) -> None:
        self.chain = LedgerChain.create(7)
        order = self.chain.ledger.proposer_order()
        # Who would have the turn of height 2, if nobody left, and two others.
        turn = order.next_height(order.validators).proposer(0)
        self.turn = self.chain.keys[turn.address]
        others = [key for key in self.chain.miners if key is not self.turn]
        self.left = [self.turn, *others[:2]]
        self.chain.produce(*(self.chain.sign(key, Unbond(amount=10 * FDC)) for key in self.left))
        genesis = self.chain.genesis
        self.ahead = PeerNode(folder / "ahead", genesis, others[3], votes=False)
        self.behind = PeerNode(folder / "behind", genesis, others[4], votes=False)

    async def decide(self) -> None:
        """Give the node ahead the first block."""
        await self.ahead.chain.import_block(self.chain.blocks[0], self.chain.certificates[0])

    def vote(self, key: KeyPair, kind: int = PREVOTE, *, round: int = 0) -> Vote:
        return sign_vote(kind, 2, round, HASH, key, self.chain.genesis.hash)

    def proposal(self, key: KeyPair, *, built: int = 0) -> Proposal:
        header = BlockHeader(
            chain_id=self.chain.genesis.chain_id, height=2, round=built, proposer=key.address
        )
        for name in ("parent_hash", "receipts_root", "app_hash", "next_validators_hash"):
            setattr(header, name, bytes(32))
        block = build_block(header, b"", [])
        return sign_proposal(2, 0, -1, block, key, self.chain.genesis.hash)


@pytest.fixture
async def lag(tmp_path: Path) -> AsyncIterator[Lag]:
    made = Lag(tmp_path)
    async with running(made.ahead, made.behind):
        await made.decide()
        yield made


async def hand_on(lag: Lag, raws: list[bytes], count: int) -> list[bytes]:
    """Send messages to the node behind, and what it passes on to the node ahead."""
    async with AsyncExitStack() as stack:
        attacker = TestedStream(await stack.enter_async_context(visiting(lag.behind)))
        listening = await stack.enter_async_context(visiting(lag.behind, RELAY))
        relay = TestedStream(listening)
        for stream in (attacker, relay):
            await stream.next()
        for raw in raws:
            await attacker.send(raw)
        passed_on = [await relay.next_content_raw() for _ in range(count)]
        target = TestedStream(await stack.enter_async_context(visiting(lag.ahead, RELAY)))
        await target.next()
        for raw in passed_on:
            await target.send(raw)
        await settle(lag, target)
        return passed_on


async def settle(lag: Lag, stream: TestedStream) -> None:
    """Wait until the node ahead has handled what was sent on a stream before."""
    await stream.send(encode_status(Position(900, 0)))
    await until(lambda: lag.ahead.peer(RELAY).height == 899)


@pytest.mark.attack
async def test_who_passes_on_votes_of_validators_that_left_is_not_blamed(
    lag: Lag, report_attack: ReportAttack
) -> None:
    votes = [lag.vote(key, kind) for key in lag.left for kind in (PREVOTE, PRECOMMIT)]
    passed_on = await hand_on(lag, [encode(vote) for vote in votes], len(votes))
    assert set(passed_on) == {encode(vote) for vote in votes}
    assert lag.ahead.score(RELAY) == 0
    assert not lag.ahead.agreement.messages_for(2)
    report_attack(
        "as three validators that leave in a block, vote at the next height, so that a node that is"
        " one block behind passes the votes on",
        "an honest node is banned for an hour",
        "its score is 0",
    )


async def test_who_passes_on_the_proposal_of_a_turn_that_went_to_another_is_not_blamed(
    lag: Lag,
) -> None:
    await hand_on(lag, [encode(lag.proposal(lag.turn))], 1)
    assert lag.ahead.score(RELAY) == 0
    assert not lag.ahead.agreement.messages_for(2)


async def test_a_proposal_that_its_height_cannot_take_is_not_passed_on(lag: Lag) -> None:
    """The nodes ahead would blame who passed it on."""
    wrong = lag.proposal(lag.turn, built=3)
    last = lag.vote(lag.left[1])
    passed_on = await hand_on(lag, [encode(wrong), encode(last)], 1)
    assert passed_on == [encode(last)]
    assert lag.behind.score(STRANGER) > 0


async def test_the_signer_itself_is_blamed(lag: Lag) -> None:
    async with visiting(lag.ahead, lag.left[1]) as link:
        stream = TestedStream(link)
        await stream.next()
        await stream.send(encode(lag.vote(lag.left[1])))
        await until(lambda: lag.ahead.score(lag.left[1]) > 0)


async def test_later_rounds_do_not_come_from_nodes_that_are_behind(lag: Lag) -> None:
    async with visiting(lag.ahead, RELAY) as link:
        stream = TestedStream(link)
        await stream.next()
        await stream.send(encode(lag.vote(lag.left[1], round=1)))
        await until(lambda: lag.ahead.score(RELAY) > 0)


async def test_more_than_nodes_that_are_behind_pass_on_is_blamed(
    lag: Lag, monkeypatch: pytest.MonkeyPatch
) -> None:
    few = {**LIMITS, "MisplacedSigner": LIMITS["PeerService/Ping"]}
    monkeypatch.setattr("fedcoin.network.peers.protection.limits.LIMITS", few)
    async with visiting(lag.ahead, RELAY) as link:
        stream = TestedStream(link)
        await stream.next()
        with suppress(RpcError):
            for number in range(40):
                await stream.send(encode(lag.vote(KeyPair.from_seed(bytes([number]) * 32))))
        await until(lambda: lag.ahead.network.peer_set.get(RELAY.public_key) is None)
    assert RELAY.public_key in lag.ahead.network.peer_set.banned()
