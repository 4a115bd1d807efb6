"""Proposals and votes are flooded once, sent to late peers, and never wait for slow ones."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import Any

import grpc
import pytest

from fedcoin.data.crypto.keys import KeyPair
from fedcoin.data.errors import RefusalError
from fedcoin.data.messages.blocks import build_block
from fedcoin.data.messages.votes import (
    PREVOTE,
    Proposal,
    VerifiedVotes,
    Vote,
    sign_proposal,
    sign_vote,
)
from fedcoin.network.client.rpc_error import RpcError
from fedcoin.network.peers.gossip import consensus_stream
from fedcoin.network.peers.gossip.consensus_messages import (
    HEARTBEAT,
    Received,
    decode,
    digest_of,
    encode,
    encode_hints,
    encode_status,
    read,
)
from fedcoin.network.peers.protection import send_queue
from fedcoin.network.ports.consensus_port import EARLY_HEIGHTS, Position
from fedcoin.testing.consensus_simulation.block_application import opaque_block
from fedcoin.v1.block_pb2 import BlockHeader
from fedcoin.v1.consensus_service_pb2 import ConsensusMessage, ExchangeRequest, RelayHints
from fedcoin.v1.vote_pb2 import SignedVote
from tests.conftest import ReportAttack
from tests.support.consensus_streams import TestedStream
from tests.support.keys import MINERS, STRANGER
from tests.support.node_core import make_network_genesis
from tests.support.peer_nodes import FAST, PeerNode, running, visiting
from tests.support.waiting import until

OTHER = KeyPair.from_seed(b"o" * 32)
GENESIS = make_network_genesis()
HASH = b"h" * 32
SLOW: dict[str, Any] = {"status_interval_s": 60.0, "ping_interval_s": 60.0}
"""Pauses in which a test hears nothing but heartbeats."""


@pytest.fixture
async def node(tmp_path: Path) -> AsyncIterator[PeerNode]:
    """A node that follows the chain without voting."""
    made = PeerNode(tmp_path / "node", GENESIS, MINERS[0], votes=False)
    async with running(made):
        yield made


class Stream(TestedStream):
    """A stream that a test reads and writes."""

    async def next_hints(self) -> RelayHints:
        """Read the next hints that offer or ask for something."""
        while True:
            hints = (await self.next()).hints
            if hints.offers or hints.wants:
                return hints

    async def refusal(self) -> tuple[grpc.StatusCode, str]:
        try:
            while await self.stream.read(5) is not None:
                pass
        except RpcError as error:
            return error.status, error.code
        raise AssertionError("the stream ended without a refusal")


def vote(number: int = 1, *, height: int = 1, network: bytes = GENESIS.hash) -> Vote:
    return sign_vote(PREVOTE, height, 0, HASH, MINERS[number], network)


async def test_the_node_sends_its_status(node: PeerNode) -> None:
    async with visiting(node) as link:
        stream = Stream(link)
        for _ in range(2):
            message = await stream.next()
            assert (message.status.height, message.status.round) == (1, 0)
            assert message.WhichOneof("kind") == "status"


async def test_the_node_says_something_after_a_while(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(consensus_stream, "QUIET_LOOK_S", 0.02)
    made = PeerNode(
        tmp_path / "node", GENESIS, MINERS[0], votes=False, options=replace(FAST, **SLOW)
    )
    async with running(made), visiting(made) as link:
        stream = Stream(link)
        assert (await stream.next()).HasField("status")
        peer = made.peer(STRANGER)
        peer.last_seen -= 60
        assert made.network.peers() == []
        for _ in range(3):
            assert read(HEARTBEAT).message == await stream.next()
        # What the visitor says makes it count again, without another handshake.
        await stream.send(HEARTBEAT)
        await until(made.network.peers)
        assert made.peer(STRANGER) is peer


async def test_the_node_says_nothing_more_after_another_message(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(consensus_stream, "QUIET_LOOK_S", 0.1)
    made = PeerNode(
        tmp_path / "node",
        GENESIS,
        MINERS[0],
        votes=False,
        options=replace(FAST, ping_interval_s=60.0, status_interval_s=0.2),
    )
    async with running(made), visiting(made) as link:
        stream = Stream(link)
        kinds = [(await stream.next()).WhichOneof("kind") for _ in range(6)]
    assert set(kinds) == {"status"}


async def test_a_vote_reaches_the_others_once_and_does_not_come_back(node: PeerNode) -> None:
    async with visiting(node) as link, visiting(node, OTHER) as other_link:
        stream, other = Stream(link), Stream(other_link)
        await stream.next()
        await other.next()
        for number in (1, 1, 2):
            await stream.send(encode(vote(number)))
        first, second = await other.next_content(), await other.next_content()
        assert first.vote == vote(1).envelope
        assert second.vote == vote(2).envelope
        await other.send(encode(vote(1)))
        await other.send(encode(vote(3)))
        assert (await stream.next_content()).vote == vote(3).envelope


async def test_a_peer_is_offered_the_votes_that_it_gets_from_their_signer(node: PeerNode) -> None:
    async with visiting(node) as link, visiting(node, OTHER) as other_link:
        stream, other = Stream(link), Stream(other_link)
        # Both streams are open once the node has said something.
        await stream.next()
        await other.next()
        await other.send(encode_hints([], [], [MINERS[1].public_key]))
        # The node has read the hints when it passes on what came behind them.
        await other.send(encode(vote(3)))
        await stream.next_content()
        await stream.send(encode(vote(1)))
        offered = digest_of(encode(vote(1)))
        assert (await other.next_hints()).offers == [offered]
        for _ in range(2):
            await other.send(encode_hints([], [offered], None))
        assert (await other.next_content()).vote == vote(1).envelope
        with pytest.raises(asyncio.TimeoutError):
            await other.next_content(0.1)


async def test_the_node_asks_for_an_offered_vote_that_does_not_come(node: PeerNode) -> None:
    async with visiting(node) as link, visiting(node, OTHER) as other_link:
        stream, other = Stream(link), Stream(other_link)
        offered = digest_of(encode(vote(1)))
        await stream.send(encode_hints([offered], [], None))
        hints = await stream.next_hints()
        while not hints.wants:
            hints = await stream.next_hints()
        assert hints.wants == [offered]
        await stream.send(encode(vote(1)))
        assert (await other.next_content()).vote == vote(1).envelope


async def test_a_late_peer_gets_the_earlier_messages(node: PeerNode) -> None:
    async with visiting(node) as link, visiting(node, OTHER) as other_link:
        stream = Stream(link)
        await stream.send(encode(vote(1)))
        await until(lambda: node.agreement.messages_for(1))
        late = Stream(other_link)
        await late.send(encode_status(Position(1, 0)))
        assert (await late.next_content()).vote == vote(1).envelope
        # A peer does not get messages that it has; in a new round it gets the new ones.
        await late.send(encode_status(Position(1, 0)))
        await late.send(encode_status(Position(1, 1)))
        assert (await late.next_content()).vote == vote(1).envelope
        with pytest.raises(asyncio.TimeoutError):
            await late.next_content(0.5)


async def test_the_own_vote_of_a_peer_shows_its_height(node: PeerNode) -> None:
    async with visiting(node) as link, visiting(node, MINERS[1]) as voter_link:
        await Stream(link).send(encode(vote(2)))
        await until(lambda: node.agreement.messages_for(1))
        voter = Stream(voter_link)
        await voter.send(encode(vote(1)))
        assert (await voter.next_content()).vote == vote(2).envelope


async def test_a_peer_that_repeats_its_status_lacks_messages(node: PeerNode) -> None:
    async with visiting(node) as link:
        stream = Stream(link)
        await stream.send(encode(vote(1)))
        await until(lambda: node.agreement.messages_for(1))
        for _ in range(7):
            await stream.send(encode_status(Position(1, 0)))
        assert (await stream.next_content()).vote == vote(1).envelope


async def test_a_peer_that_repeats_its_status_between_blocks_lacks_nothing(node: PeerNode) -> None:
    async with visiting(node) as link, visiting(node, OTHER) as other_link:
        stream, other = Stream(link), Stream(other_link)
        await stream.next()
        await other.next()
        await other.send(encode_hints([], [], [MINERS[1].public_key]))
        for _ in range(4):
            await other.send(encode_status(Position(1, 0)))
        # The node has read the statuses when it passes on what came behind them.
        await other.send(encode(vote(3)))
        await stream.next_content()
        await stream.send(encode(vote(1)))
        await until(lambda: len(node.agreement.messages_for(1)) == 2)
        await other.send(encode_status(Position(1, 0)))
        offered = [digest_of(encode(vote(1)))]
        assert (await other.next_hints()).offers == offered, "it gets the vote from its signer"
        with pytest.raises(asyncio.TimeoutError):
            await other.next_content(0.3)


async def test_heights_are_learnt(node: PeerNode) -> None:
    async with visiting(node) as link:
        stream = Stream(link)
        await stream.send(encode_status(Position(8, 0)))
        await until(lambda: node.peer(STRANGER).height == 7)
        await stream.send(encode(vote(1, height=12)))
        await until(lambda: node.peer(STRANGER).height == 11)


async def test_votes_of_heights_far_away_are_not_verified(
    node: PeerNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    verified: list[int] = []

    def count(received: Received, *rest: Any) -> Proposal | Vote:
        message = decode(received, *rest)
        verified.append(message.height)
        return message

    monkeypatch.setattr(consensus_stream, "decode", count)
    async with visiting(node) as link:
        stream = Stream(link)
        await stream.next()
        beyond = 2 + EARLY_HEIGHTS
        for height in (beyond, 1000, 2**62, 2, 1):
            strange = sign_vote(PREVOTE, height, 0, HASH, MINERS[1], GENESIS.hash)
            await stream.send(encode(strange))
        await until(lambda: verified == [2, 1])
        # As by a status, the node learns how far its peer says that it is.
        assert node.peer(STRANGER).height == 2**62 - 1
        assert node.score(STRANGER) == 0


async def test_what_is_further_ahead_than_the_next_height_is_not_passed_on(
    node: PeerNode, report_attack: ReportAttack
) -> None:
    """Who signs may be a validator no longer: peers at that height would ban who passed it on."""
    async with visiting(node) as link, visiting(node, OTHER) as other_link:
        stream, other = Stream(link), Stream(other_link)
        await stream.next()
        await other.next()
        for height in (1 + EARLY_HEIGHTS, 3, 2):
            await stream.send(encode(vote(height=height)))
        assert (await other.next_content()).vote == vote(height=2).envelope
    report_attack(
        "as a validator that leaves, vote at a later height, so that a node which lags behind"
        " passes the votes on and is banned for them",
        "an honest node is banned by its peers",
        "the node keeps them and passes on those of the next height alone",
    )


def test_votes_and_proposals_have_one_encoding() -> None:
    assert repacked() == encode(vote())
    for raw in (encode(vote()), large_proposal(1, MINERS[0])):
        assert encode(decode(read(raw), GENESIS, VerifiedVotes())) == raw
        wrapped = ExchangeRequest.FromString(raw).messages[0]
        envelope = wrapped.vote if wrapped.HasField("vote") else wrapped.proposal
        envelope.MergeFromString(b"\xfa\x01\x05hello")
        longer = read(ExchangeRequest(messages=[wrapped]).SerializeToString())
        with pytest.raises(RefusalError, match="unknown or repeated fields"):
            decode(longer, GENESIS, VerifiedVotes())


def twisted() -> bytes:
    envelope = vote().envelope
    envelope.signature = bytes(64)
    return ExchangeRequest(messages=[ConsensusMessage(vote=envelope)]).SerializeToString()


def repacked(*, suffix: bytes = b"", is_reversed: bool = False) -> bytes:
    """A vote with an unknown field behind its signature, or with its fields in another order."""
    envelope = vote().envelope
    body, key = SignedVote(body=envelope.body), SignedVote(public_key=envelope.public_key)
    parts = [body, key, SignedVote(signature=envelope.signature)]
    raw = b"".join(part.SerializeToString() for part in parts[:: -1 if is_reversed else 1]) + suffix
    return b"\x0a" + _prefixed(b"\x12" + _prefixed(raw))


def _prefixed(raw: bytes) -> bytes:
    return bytes([len(raw) & 0x7F | 0x80, len(raw) >> 7]) + raw


def padded(size: int) -> bytes:
    """A vote with an unknown field of so many bytes."""
    unknown = ConsensusMessage(vote=vote().envelope).SerializeToString()
    unknown += b"\x7a\x81\x08" + bytes(size)
    message = ConsensusMessage.FromString(unknown)
    return ExchangeRequest(messages=[message]).SerializeToString()


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (b"\xff", "MALFORMED"),
        (b"", "MALFORMED"),
        (ExchangeRequest(messages=[ConsensusMessage()]).SerializeToString(), "MALFORMED"),
        (encode_status(Position(0, 0)), "MALFORMED"),
        (encode(vote(network=bytes(32))), "BAD_SIGNATURE"),
        (twisted(), "BAD_SIGNATURE"),
        (encode(vote()) + b"\x12\x00", "MALFORMED"),
        (encode(vote())[:-1], "MALFORMED"),
        (b"\x0a" + bytes([0xFF] * 9), "MALFORMED"),
        (encode_hints([b"short"], [], None), "MALFORMED"),
        (encode_hints([], [], [b"short"]), "MALFORMED"),
        (padded(1025), "TOO_LARGE"),
        # No node could read a certificate, or a report of contradicting votes, that holds them.
        (repacked(suffix=b"\xfa\x01\x05hello"), "MALFORMED"),
        (repacked(is_reversed=True), "MALFORMED"),
    ],
    # Not the bytes: the signatures differ between the processes of pytest-xdist.
    ids=count(),
)
async def test_a_wrong_message_ends_the_stream_and_counts(
    node: PeerNode, raw: bytes, reason: str
) -> None:
    async with visiting(node) as link:
        stream = Stream(link)
        await stream.next()
        await stream.send(raw)
        _, said = await stream.refusal()
        assert said == reason
        # A bad signature ends the connection, and not the stream alone.
        is_connected = node.network.peer_set.get(STRANGER.public_key) is not None
        assert is_connected == (reason != "BAD_SIGNATURE")
    async with visiting(node):
        assert node.score(STRANGER) > 20


def proposal(number: int, size: int) -> Proposal:
    """A large proposal; its sender does not check the block."""
    return sign_proposal(
        1, number, -1, opaque_block(bytes([number]) * size), MINERS[0], GENESIS.hash
    )


async def test_a_peer_that_does_not_read_is_dropped(node: PeerNode) -> None:
    async with visiting(node) as link, visiting(node, OTHER) as other_link:
        lazy, eager = Stream(link), Stream(other_link)
        await lazy.next()
        await eager.next()
        for number in range(20):
            node.network.consensus.broadcast(proposal(number, 1_900_000))
            # The other peer misses nothing.
            message = await eager.next_content()
            assert message.proposal.block[0] == number
        assert node.network.peer_set.get(STRANGER.public_key) is None
        assert node.network.peer_set.get(OTHER.public_key) is not None


async def test_large_proposals_do_not_push_out_votes_that_peers_may_ask_for(
    node: PeerNode,
) -> None:
    node.network.consensus.broadcast(vote())
    for number in range(4):
        node.network.consensus.broadcast(proposal(number, 1_900_000))
    async with visiting(node) as link:
        stream = Stream(link)
        await stream.next()
        await stream.send(encode_hints([], [digest_of(encode(vote()))], None))
        assert (await stream.next_content()).vote == vote().envelope


async def test_a_peer_that_reads_too_slowly_is_dropped(
    node: PeerNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(send_queue, "MAX_WRITE_S", 0.3)
    async with visiting(node) as link:
        lazy = Stream(link)
        await lazy.next()
        for number in range(6):
            node.network.consensus.broadcast(proposal(number, 1_900_000))
        await until(lambda: not node.network.peers())


def large_proposal(number: int, key: KeyPair, *, height: int = 1, round: int = 0) -> bytes:
    """A well-formed proposal that is decoded in a thread, with a valid signature."""
    header = BlockHeader(
        chain_id=GENESIS.chain_id, height=height, round=round, time_ms=number, proposer=key.address
    )
    for name in ("parent_hash", "receipts_root", "app_hash", "next_validators_hash"):
        setattr(header, name, bytes(32))
    block = build_block(header, b"", [b"x" * 600] * 20)
    return encode(sign_proposal(height, round, -1, block, key, GENESIS.hash))


@pytest.fixture
def decoded(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The heights of the proposals that are decoded."""
    heights: list[int] = []

    def count(received: Received, *rest: Any) -> Proposal | Vote:
        message = decode(received, *rest)
        if isinstance(message, Proposal):
            heights.append(message.height)
        return message

    monkeypatch.setattr(consensus_stream, "decode", count)
    return heights


@pytest.mark.attack
async def test_large_proposals_that_nobody_may_make_are_not_decoded(
    node: PeerNode, decoded: list[int], report_attack: ReportAttack
) -> None:
    async with visiting(node) as link, visiting(node, OTHER) as other_link:
        stream, other = Stream(link), Stream(other_link)
        await other.next()
        for number in range(20):
            height = (2, 3, 900)[number % 3]
            await stream.send(large_proposal(number, STRANGER, height=height))
        await stream.send(encode(vote(1)))
        assert (await other.next_content()).vote == vote(1).envelope
        assert node.score(STRANGER) == 0
        # At the present height no honest peer passes it on.
        await stream.send(large_proposal(0, STRANGER))
        await until(lambda: node.score(STRANGER) > 0)
    assert not decoded
    report_attack(
        "sign large proposals with any key, for heights that are not decided, and send them 20"
        " times a second after a burst of 100",
        "each is decoded, up to 64 KiB where votes wait: 49 KB take 25 ms, the burst 2.5 s",
        "none is decoded",
    )


@pytest.mark.attack
async def test_of_many_large_proposals_for_one_round_one_is_decoded(
    node: PeerNode, decoded: list[int], report_attack: ReportAttack
) -> None:
    proposer = node.chain.ledger.proposer(0).public_key
    key = next(key for key in MINERS if key.public_key == proposer)
    async with visiting(node) as link, visiting(node, OTHER) as other_link:
        stream, other = Stream(link), Stream(other_link)
        for number in range(10):
            for peer in (stream, other):
                await peer.send(large_proposal(number, key))
        for peer, number in ((stream, 1), (other, 2)):
            await peer.send(encode(vote(number)))
        await until(lambda: len(node.agreement.messages_for(1)) == 3)
        assert node.score(STRANGER) == node.score(OTHER) == 0
    assert decoded == [1]
    report_attack(
        "as the proposer sign many large blocks for one round, and send them through all peers",
        "each is decoded, in threads that callers share, as many at once as there are peers",
        "one is decoded, and others only when a third of the power has voted for them",
    )
