"""Proposals and votes between peers: flooding, over one stream for each connection.

A message that is new to the node (`ConsensusPort`) is passed on to every peer that is not known to
have it. Sending never waits: each peer has a queue, and a peer whose queue is full is disconnected.

A message may reach a peer too early, while it still decides the previous height, and is then lost
there. Therefore each node sends its height and round when they change and from time to time, and
a peer at the same height answers with the messages that it has not sent since the node got there.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable, Collection
from concurrent.futures import ThreadPoolExecutor
from typing import Final

import grpc

from fedcoin.data.crypto.hashing import sha256
from fedcoin.data.errors import RefusalError
from fedcoin.data.lru import LruDict, LruSet
from fedcoin.data.messages.votes import Proposal, ProposalClaim, Vote, read_proposal_claim
from fedcoin.network.background_tasks import run_until_first
from fedcoin.network.client.rpc_error import RpcError
from fedcoin.network.errors import NetworkCode
from fedcoin.network.interceptors import CallContext
from fedcoin.network.peers.connections.link import Link
from fedcoin.network.peers.connections.peer import Peer
from fedcoin.network.peers.connections.peer_guard import OFFENCES
from fedcoin.network.peers.connections.peer_set import PeerSet
from fedcoin.network.peers.gossip.consensus_messages import (
    Received,
    decode,
    encode,
    encode_status,
    read,
)
from fedcoin.network.peers.protection.limits import LIMITS
from fedcoin.network.peers.protection.reputation import Offence
from fedcoin.network.peers.protection.send_queue import SendQueue
from fedcoin.network.ports.chain_port import ChainPort
from fedcoin.network.ports.consensus_port import ConsensusPort, Position
from fedcoin.network.token_bucket import TokenBucket

log = logging.getLogger(__name__)

MAX_BYTES_ON_LOOP = 8 * 1024
"""A longer message is decoded in a thread: it is a proposal, and hashing its block takes long, a
tenth of a second where 50 KB hold 16,000 transactions of a byte."""

_THREAD: Final = ThreadPoolExecutor(1, thread_name_prefix="proposals")

SEEN_MESSAGES = 16_384
"""The number of messages, of all peers, that are remembered in order to handle each once."""
ENCODINGS = 32
"""The number of messages of the present height whose serialised form is kept."""
KNOWN_TO_PEER = 4_096
"""The number of messages that are remembered for each peer as those that it has."""
MAX_EQUAL_STATUSES = 5
"""After this many equal statuses in a row, messages are sent to the peer again."""


class _Conversation:
    """The streams with one peer: one, or two when both sides dialled."""

    def __init__(self, peer: Peer) -> None:
        self.peer = peer
        self.queues: list[SendQueue] = []
        self.known: LruSet[bytes] = LruSet(KNOWN_TO_PEER)
        """Digests of the messages that the peer has."""
        self.position: Position | None = None
        self._repeated = 0

    def send(self, raw: bytes, digest: bytes | None = None) -> bool:
        """Queue a message on the oldest stream; False when the peer is too slow for it."""
        if not self.queues:
            return True
        if digest is not None:
            self.known.add(digest)
        return self.queues[0].put(raw)

    def moved(self, position: Position) -> None:
        """Record the peer's position. At a new one it may need messages that it could not use."""
        self._repeated = self._repeated + 1 if position == self.position else 0
        if position != self.position or self._repeated >= MAX_EQUAL_STATUSES:
            self.known.clear()
            self._repeated = 0
        self.position = position


class ConsensusExchange:
    """Both ends of `ConsensusService.Exchange`, for all peers.

    Args:
        chain: The node's chain.
        agreement: The consensus of this node, which handles proposals and votes.
        peers: The connected peers.
    """

    def __init__(self, chain: ChainPort, agreement: ConsensusPort, peers: PeerSet) -> None:
        self._genesis = chain.genesis
        self._verified_votes = chain.verified_votes
        self._agreement = agreement
        self._peers = peers
        self._seen: LruSet[bytes] = LruSet(SEEN_MESSAGES)
        # By the identity of the message, which is kept so that no other one has it.
        self._encodings: LruDict[int, tuple[Proposal | Vote, bytes, bytes]] = LruDict(ENCODINGS)
        self._conversations: dict[bytes, _Conversation] = {}
        self._decoding = asyncio.Lock()
        status = LIMITS["ConsensusMessage/status"]
        self._pace = TokenBucket(status.rate / 2, status.burst / 2, peers.now())
        peers.on_left.append(self._on_left)

    def handlers(self) -> grpc.GenericRpcHandler:
        """Make the gRPC handler of the service. Its messages stay serialised."""
        return grpc.method_handlers_generic_handler(
            "fedcoin.v1.ConsensusService",
            {"Exchange": grpc.stream_stream_rpc_method_handler(self.serve)},
        )

    def broadcast(self, message: Proposal | Vote, but: Collection[bytes] = ()) -> None:
        """Send this node's message to every peer.

        Args:
            message: A proposal or vote that this node signed.
            but: Node keys of peers that do not get it.
        """
        raw, digest = self._encoded(message)
        self._seen.add(digest)
        self._spread(raw, digest, but)

    def status_changed(self) -> None:
        """Send this node's height and round to every peer, but not each step while it catches up.

        `run` sends later what is left out now.
        """
        if not self._pace.take(self._peers.now()):
            return
        raw = encode_status(self._agreement.status())
        for conversation in tuple(self._conversations.values()):
            self._send(conversation, raw)

    async def serve(self, requests: AsyncIterator[bytes], context: CallContext) -> None:
        """Serve one stream that a peer opened.

        Args:
            requests: The peer's serialised messages.
            context: gRPC's context of the call, by which the peer is found.

        Raises:
            RefusalError: SHUTTING_DOWN when this node ends the stream, or the code of a rule that
                the peer broke.
        """
        peer = self._peers.caller(context)
        # gRPC would send it with the first message, and cannot end a call before it is sent.
        await context.send_initial_metadata(())
        await self._hold(peer, requests, context.write)
        raise RefusalError(
            NetworkCode.SHUTTING_DOWN,
            "this node closed the stream; perform the handshake again to continue",
        )

    async def converse(self, peer: Peer, link: Link) -> None:
        """Use one stream that this node opens, until it ends.

        Args:
            peer: A connected peer.
            link: The link to it.
        """
        # Not opened again on this link, unlike the streams of the API's clients: the dialer makes a
        # new connection with its back-off, since a session does not outlive its connection.
        try:
            with link.exchange() as stream:
                await self._hold(peer, stream, stream.write)
        except RefusalError as refusal:
            self._blame(peer, refusal)
        except RpcError as error:
            log.debug("%s ended the stream of proposals and votes: %s", peer, error)

    async def run(self, interval_s: float) -> None:
        """Send the status regularly, and disconnect peers that do not read. Runs until cancelled.

        Args:
            interval_s: The pause in seconds.
        """
        while True:
            await asyncio.sleep(interval_s)
            for conversation in tuple(self._conversations.values()):
                if any(queue.overdue() for queue in conversation.queues):
                    self._too_slow(conversation)
            self.status_changed()

    async def _hold(
        self,
        peer: Peer,
        incoming: AsyncIterable[bytes],
        write: Callable[[bytes], Awaitable[object]],
    ) -> None:
        queue = SendQueue(self._peers.now)
        conversation = self._conversations.setdefault(peer.key, _Conversation(peer))
        conversation.queues.append(queue)
        peer.streams += 1
        queue.put(encode_status(self._agreement.status()))
        try:
            await run_until_first(
                self._read(conversation, incoming), queue.pump(write), queue.until_cut()
            )
        finally:
            peer.streams -= 1
            conversation.queues.remove(queue)
            if not conversation.queues and self._conversations.get(peer.key) is conversation:
                del self._conversations[peer.key]

    async def _read(self, conversation: _Conversation, incoming: AsyncIterable[bytes]) -> None:
        async for raw in incoming:
            received = read(raw)
            conversation.peer.meter.spend(received.kind, self._peers.now())
            conversation.peer.last_seen = self._peers.now()
            if received.message.HasField("status"):
                status = received.message.status
                self._on_status(conversation, Position(status.height, status.round))
            else:
                await self._on_message(conversation, received)

    async def _on_message(self, conversation: _Conversation, received: Received) -> None:
        if received.message.HasField("vote"):
            await self._on_new(conversation, received)
            return
        claim = read_proposal_claim(received.message.proposal)
        if self._is_wanted(conversation, received, claim):
            # One at a time, and asked again: the one before it may have been the same, or another
            # one of its round. So no number of peers makes this node decode many.
            async with self._decoding:
                if self._is_wanted(conversation, received, claim):
                    await self._on_new(conversation, received)

    def _is_wanted(
        self, conversation: _Conversation, received: Received, claim: ProposalClaim
    ) -> bool:
        """Look at what a proposal says of itself: anybody can sign large ones, with any key."""
        try:
            is_wanted = self._agreement.wants_proposal(claim)
        except RefusalError as refusal:
            self._refuse(conversation, received, refusal)
            return False
        if not is_wanted:
            if claim.height == self._agreement.status().height:
                conversation.known.add(sha256(received.raw))
            self._note_height(conversation, claim.height)
        return is_wanted

    async def _on_new(self, conversation: _Conversation, received: Received) -> None:
        digest = sha256(received.raw)
        conversation.known.add(digest)
        if digest in self._seen:
            return
        message = await self._decode(received)
        try:
            if isinstance(message, Vote):
                new = await self._agreement.receive_vote(message, conversation.peer.key)
            else:
                new = await self._agreement.receive_proposal(message, conversation.peer.key)
        except RefusalError as refusal:
            self._refuse(conversation, received, refusal)
            return
        if new or message.height < self._agreement.status().height:
            # A message that is neither may have come too early, and is wanted when it comes again.
            self._seen.add(digest)
        if new:
            self._spread(received.raw, digest)
        else:
            self._note_height(conversation, message.height)

    def _refuse(
        self, conversation: _Conversation, received: Received, refusal: RefusalError
    ) -> None:
        self._peers.punish(
            conversation.peer, Offence.REFUSED_MESSAGE, f"{received.kind}: {refusal}"
        )

    def _note_height(self, conversation: _Conversation, height: int) -> None:
        # A peer that passes a message on is deciding its height.
        if height - 1 > conversation.peer.height:
            self._peers.update_height(conversation.peer, height - 1)

    async def _decode(self, received: Received) -> Proposal | Vote:
        if len(received.raw) <= MAX_BYTES_ON_LOOP:
            return decode(received, self._genesis, self._verified_votes)
        # In a thread of its own: callers may have all of those that are shared.
        return await asyncio.get_running_loop().run_in_executor(
            _THREAD, decode, received, self._genesis, self._verified_votes
        )

    def _on_status(self, conversation: _Conversation, position: Position) -> None:
        if position.height < 1:
            raise RefusalError(
                NetworkCode.MALFORMED,
                "status.height is 0; it must be at least 1",
                field="status.height",
            )
        self._peers.update_height(conversation.peer, position.height - 1)
        conversation.moved(position)
        for message in self._agreement.messages_for(position.height):
            raw, digest = self._encoded(message)
            if digest not in conversation.known:
                self._send(conversation, raw, digest)

    def _encoded(self, message: Proposal | Vote) -> tuple[bytes, bytes]:
        """Encode a message and hash it; once, since a proposal may have megabytes."""
        known = self._encodings.get(id(message))
        if known is None or known[0] is not message:
            raw = encode(message)
            known = (message, raw, sha256(raw))
            self._encodings.put(id(message), known)
        return known[1:]

    def _spread(self, raw: bytes, digest: bytes, but: Collection[bytes] = ()) -> None:
        for conversation in tuple(self._conversations.values()):
            if digest not in conversation.known and conversation.peer.key not in but:
                self._send(conversation, raw, digest)

    def _send(self, conversation: _Conversation, raw: bytes, digest: bytes | None = None) -> None:
        if not conversation.send(raw, digest):
            self._too_slow(conversation)

    def _too_slow(self, conversation: _Conversation) -> None:
        self._peers.punish(conversation.peer, Offence.SLOW, "does not read its consensus stream")
        self._peers.drop(conversation.peer, "too slow")

    def _blame(self, peer: Peer, refusal: RefusalError) -> None:
        offence = OFFENCES.get(refusal.code.name)
        if offence is not None:
            self._peers.punish(peer, offence, str(refusal))

    def _on_left(self, peer: Peer) -> None:
        conversation = self._conversations.pop(peer.key, None)
        for queue in conversation.queues if conversation is not None else ():
            queue.cut()
