"""Proposals and votes between peers: flooding, over one stream for each connection.

A message is passed on when the node's `Agreement` says that it is new, to every peer that is
not known to have it. Nothing is ever waited for: each peer has a queue, and a peer that lets
its queue fill up is cut off.

Messages may come before a peer is ready for them (it still decides the height before) and
are then lost on it. Therefore each node tells its height and round whenever they change, and
now and then; whoever decides the same height answers with all that it has not sent since
that peer came to this place.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Collection

import grpc

from fedcoin.data.crypto.hashing import sha256
from fedcoin.data.errors import RefusalError
from fedcoin.data.lru import LruSet
from fedcoin.data.messages.votes import Proposal, Vote
from fedcoin.network.background_tasks import run_until_first
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
from fedcoin.network.ports import ChainPort, ConsensusPort, Position
from fedcoin.network.token_bucket import TokenBucket

MAX_BYTES_ON_LOOP = 64 * 1024
"""A longer message is decoded in a thread: it is a proposal, and hashing its block takes ms."""

SEEN_MESSAGES = 16_384
KNOWN_TO_PEER = 4_096
PATIENCE = 5
"""After so many equal statuses in a row, a peer is taken to lack whatever was sent to it."""


class _Talk:
    """The conversation with one peer, over one stream or (both having dialled) two."""

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
        """The peer told where it stands: what it had no use for before, it may need now."""
        self._repeated = self._repeated + 1 if position == self.position else 0
        if position != self.position or self._repeated >= PATIENCE:
            self.known.clear()
            self._repeated = 0
        self.position = position


class ConsensusExchange:
    """Both ends of `ConsensusService.Exchange`, for all peers."""

    def __init__(self, chain: ChainPort, agreement: ConsensusPort, peers: PeerSet) -> None:
        self._genesis = chain.genesis
        self._verified_votes = chain.verified_votes
        self._agreement = agreement
        self._peers = peers
        self._seen: LruSet[bytes] = LruSet(SEEN_MESSAGES)
        self._talks: dict[bytes, _Talk] = {}
        self._decoding: dict[bytes, asyncio.Future[Proposal | Vote]] = {}
        status = LIMITS["ConsensusMessage/status"]
        self._pace = TokenBucket(status.rate / 2, status.burst / 2, peers.now())
        peers.on_left.append(self._left)

    def handlers(self) -> grpc.GenericRpcHandler:
        """The service; its messages come and go as bytes."""
        return grpc.method_handlers_generic_handler(
            "fedcoin.v1.ConsensusService",
            {"Exchange": grpc.stream_stream_rpc_method_handler(self.serve)},
        )

    def broadcast(self, message: Proposal | Vote, but: Collection[bytes] = ()) -> None:
        """Send an own message to every peer but those with these node keys."""
        raw = encode(message)
        digest = sha256(raw)
        self._seen.add(digest)
        self._spread(raw, digest, but)

    def status_changed(self) -> None:
        """Tell every peer where this node stands; not each step of one that catches up fast.

        What is left out now is told by `run`.
        """
        if not self._pace.take(self._peers.now()):
            return
        raw = encode_status(self._agreement.status())
        for talk in tuple(self._talks.values()):
            self._send(talk, raw)

    async def serve(self, requests: AsyncIterator[bytes], context: CallContext) -> None:
        """The server's end of one stream. Raises Refusal when the peer breaks a rule."""
        peer = self._peers.caller(context)
        # By itself it would go with the first message, and gRPC cannot end a call while that
        # is on its way.
        await context.send_initial_metadata(())
        await self._hold(peer, requests, context.write)
        raise RefusalError(
            NetworkCode.SHUTTING_DOWN, "this node closed the stream; shake hands again to go on"
        )

    async def converse(self, peer: Peer, link: Link) -> None:
        """The caller's end of one stream; returns when it has ended."""
        try:
            call = link.exchange()
        except grpc.aio.UsageError:
            return
        try:
            await self._hold(peer, _incoming(call), call.write)
        except RefusalError as refusal:
            self._blame(peer, refusal)
        except (grpc.aio.AioRpcError, grpc.aio.UsageError, asyncio.InvalidStateError):
            return
        finally:
            call.cancel()

    async def run(self, interval_s: float) -> None:
        """Tell the status now and then, and cut off who does not read, for ever."""
        while True:
            await asyncio.sleep(interval_s)
            for talk in tuple(self._talks.values()):
                if any(queue.overdue() for queue in talk.queues):
                    self._too_slow(talk)
            self.status_changed()

    async def _hold(
        self,
        peer: Peer,
        incoming: AsyncIterator[bytes],
        write: Callable[[bytes], Awaitable[object]],
    ) -> None:
        queue = SendQueue(self._peers.now)
        talk = self._talks.setdefault(peer.key, _Talk(peer))
        talk.queues.append(queue)
        peer.streams += 1
        queue.put(encode_status(self._agreement.status()))
        try:
            await run_until_first(self._read(talk, incoming), queue.pump(write), queue.until_cut())
        finally:
            peer.streams -= 1
            talk.queues.remove(queue)
            if not talk.queues and self._talks.get(peer.key) is talk:
                del self._talks[peer.key]

    async def _read(self, talk: _Talk, incoming: AsyncIterator[bytes]) -> None:
        async for raw in incoming:
            received = read(raw)
            talk.peer.meter.spend(received.kind, self._peers.now())
            talk.peer.last_seen = self._peers.now()
            if received.message.HasField("status"):
                status = received.message.status
                self._on_status(talk, Position(status.height, status.round))
            else:
                await self._on_message(talk, received)

    async def _on_message(self, talk: _Talk, received: Received) -> None:
        digest = sha256(received.raw)
        talk.known.add(digest)
        if digest in self._seen:
            return
        message = await self._decode(received, digest)
        try:
            if isinstance(message, Vote):
                new = await self._agreement.receive_vote(message, talk.peer.key)
            else:
                new = await self._agreement.receive_proposal(message, talk.peer.key)
        except RefusalError as refusal:
            self._peers.punish(talk.peer, Offence.REFUSED_MESSAGE, f"{received.kind}: {refusal}")
            return
        if new or message.height < self._agreement.status().height:
            # Whatever is neither may come too early, and is wanted when it comes again.
            self._seen.add(digest)
        if new:
            self._spread(received.raw, digest)
        elif message.height - 1 > talk.peer.height:
            # Who passes a message on decides its height.
            self._peers.update_height(talk.peer, message.height - 1)

    async def _decode(self, received: Received, digest: bytes) -> Proposal | Vote:
        """Decode a message; a long one in a thread, and once even if several peers send it."""
        if len(received.raw) <= MAX_BYTES_ON_LOOP:
            return decode(received, self._genesis, self._verified_votes)
        decoding = self._decoding.get(digest)
        if decoding is None:
            work = asyncio.to_thread(decode, received, self._genesis, self._verified_votes)
            decoding = self._decoding[digest] = asyncio.ensure_future(work)
            decoding.add_done_callback(lambda _: self._decoding.pop(digest, None))
        # Shielded: when one of the peers leaves, the others still wait for the result.
        return await asyncio.shield(decoding)

    def _on_status(self, talk: _Talk, position: Position) -> None:
        if position.height < 1:
            raise RefusalError(
                NetworkCode.MALFORMED, "status.height: 0, but 1 is the first", field="status.height"
            )
        self._peers.update_height(talk.peer, position.height - 1)
        talk.moved(position)
        for message in self._agreement.messages_for(position.height):
            raw = encode(message)
            digest = sha256(raw)
            if digest not in talk.known:
                self._send(talk, raw, digest)

    def _spread(self, raw: bytes, digest: bytes, but: Collection[bytes] = ()) -> None:
        for talk in tuple(self._talks.values()):
            if digest not in talk.known and talk.peer.key not in but:
                self._send(talk, raw, digest)

    def _send(self, talk: _Talk, raw: bytes, digest: bytes | None = None) -> None:
        if not talk.send(raw, digest):
            self._too_slow(talk)

    def _too_slow(self, talk: _Talk) -> None:
        self._peers.punish(talk.peer, Offence.SLOW, "does not read its consensus stream")
        self._peers.drop(talk.peer, "too slow")

    def _blame(self, peer: Peer, refusal: RefusalError) -> None:
        offence = OFFENCES.get(refusal.code.name)
        if offence is not None:
            self._peers.punish(peer, offence, str(refusal))

    def _left(self, peer: Peer) -> None:
        talk = self._talks.pop(peer.key, None)
        for queue in talk.queues if talk is not None else ():
            queue.cut()


async def _incoming(call: grpc.aio.StreamStreamCall[bytes, bytes]) -> AsyncIterator[bytes]:
    while True:
        raw = await call.read()
        if not isinstance(raw, bytes):
            return
        yield raw
