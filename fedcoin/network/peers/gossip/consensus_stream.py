"""Proposals and votes between peers, over one stream for each connection.

A message that is new to the node (`ConsensusPort`) is passed on to every peer that is not known to
have it. A peer that gets its signer's messages directly is only offered the digest, a moment later,
and asks for the message if it lacks it then. So each vote travels once to each node where all are
connected, and contradicting ones still meet. Sending never waits: each peer has a queue, and a peer
whose queue is full is disconnected.

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

from fedcoin.consensus.errors import ConsensusCode
from fedcoin.data.errors import RefusalError
from fedcoin.data.lru import LruSet
from fedcoin.data.messages.votes import MessageClaim, Proposal, Vote
from fedcoin.network.alarm import Alarm
from fedcoin.network.background_tasks import run_until_first
from fedcoin.network.client.rpc_error import RpcError
from fedcoin.network.errors import NetworkCode
from fedcoin.network.interceptors import CallContext
from fedcoin.network.peers.connections.link import Link
from fedcoin.network.peers.connections.peer import Peer
from fedcoin.network.peers.connections.peer_guard import OFFENCES
from fedcoin.network.peers.connections.peer_set import PeerSet
from fedcoin.network.peers.gossip.consensus_messages import (
    HEARTBEAT,
    Encodings,
    Received,
    decode,
    digest_of,
    encode_status,
    read,
    read_claim,
    split,
)
from fedcoin.network.peers.gossip.conversation import Conversation
from fedcoin.network.peers.gossip.hint_exchange import HintExchange
from fedcoin.network.peers.gossip.relayed_messages import (
    QUIET_LOOK_S,
    QUIET_LOOKS,
    SEEN_MESSAGES,
    STATUS_S,
)
from fedcoin.network.peers.protection.limits import LIMITS
from fedcoin.network.peers.protection.reputation import Offence
from fedcoin.network.peers.protection.send_queue import SendQueue
from fedcoin.network.ports.chain_port import ChainPort
from fedcoin.network.ports.consensus_port import ConsensusPort, Position
from fedcoin.network.token_bucket import TokenBucket

log = logging.getLogger(__name__)

MAX_BYTES_ON_LOOP = 8 * 1024
"""A longer message is decoded in a thread: it is a proposal, and hashing its block takes long, as
25 ms where 50 KB hold 16,000 transactions of a byte."""

_ABOUT_SIGNERS: Final = (ConsensusCode.NOT_A_VALIDATOR, ConsensusCode.WRONG_PROPOSER)

_THREAD: Final = ThreadPoolExecutor(1, thread_name_prefix="proposals")


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
        self._encodings = Encodings()
        self._announcing = Alarm(self._announce)
        # What the peers know of this node's height and round from its own messages.
        self._shown: Position | None = None
        self._conversations: dict[bytes, Conversation] = {}
        self._hints = HintExchange(self._conversations, self._seen, self._send, peers.now)
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
        raw, digest = self._encodings.encode(message)
        self._seen.add(digest)
        self._hints.keep(raw, digest)
        for conversation in tuple(self._conversations.values()):
            if digest not in conversation.known and conversation.peer.key not in but:
                self._send_news(conversation, raw, digest, message.height)
        is_new_height = self._shown is None or self._shown.height < message.height
        self._shown = Position(message.height, message.round)
        if is_new_height:
            self._hints.send_waiting()  # Both travel in one request.

    def status_changed(self) -> None:
        """Send this node's height and round to every peer soon, unless a vote shows both before."""
        self._announcing.set(STATUS_S)

    def _announce(self) -> None:
        if self._shown != self._agreement.status():
            self._send_status()

    def _send_status(self) -> None:
        # Not each step while this node catches up: `run` sends later what is left out now.
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
            self._send_status()

    async def keep_talking(self) -> None:
        """Say something to each peer at least every 1.4 s. Runs until cancelled."""
        while True:
            await asyncio.sleep(QUIET_LOOK_S)
            for conversation in tuple(self._conversations.values()):
                if conversation.quiet_looks == QUIET_LOOKS:
                    self._send(conversation, HEARTBEAT)
                conversation.quiet_looks += 1

    async def _hold(
        self,
        peer: Peer,
        incoming: AsyncIterable[bytes],
        write: Callable[[bytes], Awaitable[object]],
    ) -> None:
        queue = SendQueue(self._peers.now)
        conversation = self._conversations.setdefault(peer.key, Conversation(peer))
        conversation.queues.append(queue)
        self._hints.send_soon()
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
                self._hints.send_soon()

    async def _read(self, conversation: Conversation, incoming: AsyncIterable[bytes]) -> None:
        async for raw in incoming:
            for piece in split(raw):
                received = read(piece)
                conversation.peer.meter.spend(received.kind, self._peers.now())
                conversation.peer.last_seen = self._peers.now()
                await self._handle(conversation, received)

    async def _handle(self, conversation: Conversation, received: Received) -> None:
        if received.message.HasField("status"):
            status = received.message.status
            self._on_status(conversation, Position(status.height, status.round))
        elif received.message.HasField("hints"):
            self._hints.receive(conversation, received.message.hints)
        else:
            await self._on_message(conversation, received)

    async def _on_message(self, conversation: Conversation, received: Received) -> None:
        claim = read_claim(received.message)
        if not self._is_wanted(conversation, received, claim):
            return
        if received.message.HasField("vote"):
            await self._on_new(conversation, received)
        else:
            # One at a time, and asked again: the one before it may have been the same, or another
            # one of its round. So no number of peers makes this node decode many.
            async with self._decoding:
                if self._is_wanted(conversation, received, claim):
                    await self._on_new(conversation, received)

    def _is_wanted(
        self, conversation: Conversation, received: Received, claim: MessageClaim
    ) -> bool:
        """Look at what a message says of itself: anybody can sign any number, with any key."""
        is_vote = received.message.HasField("vote")
        try:
            wants = self._agreement.wants_vote if is_vote else self._agreement.wants_proposal
            is_wanted = wants(claim)
        except RefusalError as refusal:
            is_excused = self._is_from_behind(conversation.peer, claim, refusal)
            # A vote that is not excused is verified first: a wrong signature is worse.
            is_wanted = is_vote and not is_excused
            if not (is_wanted or is_excused):
                self._refuse(conversation.peer, received, refusal)
        if not is_wanted:
            self._pass_over(conversation, received, claim.height)
        return is_wanted

    def _pass_over(self, conversation: Conversation, received: Received, height: int) -> None:
        """Note what a message of no use, by its own words of a height, says of its sender."""
        if height <= self._agreement.status().height:
            digest = digest_of(received.raw)
            conversation.known.add(digest)
            self._hints.note_arrival(digest)
        self._note_height(conversation, height)

    async def _on_new(self, conversation: Conversation, received: Received) -> None:
        digest = digest_of(received.raw)
        conversation.known.add(digest)
        if digest in self._seen:
            return
        was_asked = self._hints.note_arrival(digest)
        message = await self._decode(received)
        if message.public_key == conversation.peer.key:
            self._note_position(conversation, Position(message.height, message.round))
        try:
            if isinstance(message, Vote):
                new = await self._agreement.receive_vote(message, conversation.peer.key)
            else:
                new = await self._agreement.receive_proposal(message, conversation.peer.key)
        except RefusalError as refusal:
            if not self._is_from_behind(conversation.peer, message, refusal):
                self._refuse(conversation.peer, received, refusal)
            return
        height = self._agreement.status().height
        if new or message.height < height:
            # A message that is neither may have come too early, and is wanted when it comes again.
            self._seen.add(digest)
        if new:
            is_direct = conversation.peer.key == message.public_key
            if is_direct or was_asked:
                self._hints.note_source(message.public_key, is_direct=is_direct)
            # Peers that decide a height further ahead know who its validators and its proposer are,
            # and this node only knows who they would be: it would be blamed for what it passed on.
            if message.height <= height + 1:
                self._pass_on(message, received.raw, digest, is_late=message.height < height)
        else:
            self._note_height(conversation, message.height)

    def _refuse(self, peer: Peer, received: Received, refusal: RefusalError) -> None:
        self._peers.punish(peer, Offence.REFUSED_MESSAGE, f"{received.kind}: {refusal}")

    def _is_from_behind(
        self, peer: Peer, said: MessageClaim | Proposal | Vote, refusal: RefusalError
    ) -> bool:
        """Tell whether an honest peer that is a block behind may pass on what this node refuses.

        It takes messages of round 0 by those who sign if that block changes no validators and no
        turns, and by those who would after another block.
        """
        if refusal.code not in _ABOUT_SIGNERS or said.round or said.public_key == peer.key:
            return False
        return peer.meter.try_spend("MisplacedSigner", self._peers.now())

    def _note_height(self, conversation: Conversation, height: int) -> None:
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

    def _on_status(self, conversation: Conversation, position: Position) -> None:
        if position.height < 1:
            why = "status.height is 0; it must be at least 1"
            raise RefusalError(NetworkCode.MALFORMED, why, field="status.height")
        self._peers.update_height(conversation.peer, position.height - 1)
        messages = self._agreement.messages_for(position.height)
        conversation.moved(position, is_voting=bool(messages))
        for message in messages:
            raw, digest = self._encodings.encode(message)
            if digest in conversation.known:
                continue
            has_probably = digest in conversation.early or message.public_key in conversation.direct
            if has_probably and not conversation.is_waiting:
                self._hints.offer(conversation, raw, digest)
            else:
                self._send_news(conversation, raw, digest, message.height)

    def _note_position(self, conversation: Conversation, shown: Position) -> None:
        """Learn a peer's position from its own proposal or vote, as from a status."""
        known = conversation.position
        if known is None or (shown.height, shown.round) > (known.height, known.round):
            self._on_status(conversation, shown)

    def _pass_on(
        self, message: Proposal | Vote, raw: bytes, digest: bytes, *, is_late: bool
    ) -> None:
        """Send a peer's message to the others, or offer it: what is late only shows who lies."""
        self._hints.keep(raw, digest)
        for conversation in tuple(self._conversations.values()):
            if digest in conversation.known or conversation.peer.key == message.public_key:
                continue
            if is_late or message.public_key in conversation.direct:
                self._hints.offer(conversation, raw, digest)
            else:
                self._send_news(conversation, raw, digest, message.height)

    def _send_news(self, to: Conversation, raw: bytes, digest: bytes, height: int) -> None:
        if not to.send_message(raw, digest, height):
            self._too_slow(to)

    def _send(self, conversation: Conversation, raw: bytes) -> None:
        if not conversation.send(raw):
            self._too_slow(conversation)

    def _too_slow(self, conversation: Conversation) -> None:
        self._peers.punish(conversation.peer, Offence.SLOW, "does not read its consensus stream")
        self._peers.drop(conversation.peer, "too slow")

    def _blame(self, peer: Peer, refusal: RefusalError) -> None:
        offence = OFFENCES.get(refusal.code.name)
        if offence is not None:
            self._peers.punish(peer, offence, str(refusal))

    def _on_left(self, peer: Peer) -> None:
        conversation = self._conversations.pop(peer.key, None)
        if conversation is not None:
            # The others must pass its messages on from now on.
            self._hints.send_soon()
        for queue in conversation.queues if conversation is not None else ():
            queue.cut()
