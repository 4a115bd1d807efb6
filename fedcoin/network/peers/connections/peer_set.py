"""The peers that this node is connected to: who may join, who has to leave."""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import cast

from fedcoin.data.errors import RefusalError
from fedcoin.network.errors import NetworkCode
from fedcoin.network.interceptors import CallContext
from fedcoin.network.options import SESSION_METADATA, PeerOptions
from fedcoin.network.peers.connections.handshake import Identity
from fedcoin.network.peers.connections.link import Link
from fedcoin.network.peers.connections.peer import Peer
from fedcoin.network.peers.protection.bans import Bans
from fedcoin.network.peers.protection.reputation import Offence

log = logging.getLogger(__name__)

SILENCE_S = 15.0
"""A peer without a stream or a link that has not called for so long is gone."""

MAX_SESSIONS = 4
"""Of one peer: it may dial two addresses of this node at the same time."""

Listener = Callable[[Peer], None]


@dataclass(frozen=True, slots=True)
class Clocks:
    """Seconds: one that never goes back, and Unix time."""

    monotonic: Callable[[], float]
    wall: Callable[[], float]


class PeerSet:
    """Bounded in both directions; every peer in it proved its key.

    Listeners are called when a peer dialled this node (`on_admitted`), was dialled
    (`on_linked`), told a height (`on_height`) or left (`on_left`).
    """

    def __init__(self, options: PeerOptions, bans: Bans, clocks: Clocks) -> None:
        self._options = options
        self._clocks = clocks
        self._closing: set[asyncio.Task[None]] = set()
        self._peers: dict[bytes, Peer] = {}
        self._sessions: dict[str, Peer] = {}
        self.bans = bans
        self.on_admitted: list[Listener] = []
        self.on_linked: list[Listener] = []
        self.on_height: list[Listener] = []
        self.on_left: list[Listener] = []

    def __iter__(self) -> Iterator[Peer]:
        return iter(tuple(self._peers.values()))

    def __len__(self) -> int:
        """How many are connected."""
        return len(self._peers)

    def get(self, key: bytes) -> Peer | None:
        """The peer with this node key, if it is connected."""
        return self._peers.get(key)

    def now(self) -> float:
        """The monotonic clock, in seconds."""
        return self._clocks.monotonic()

    def outbound(self) -> int:
        """How many of them this node dialled."""
        return sum(peer.outbound for peer in self._peers.values())

    def check_welcome(self, key: bytes) -> None:
        """Raises Refusal: BANNED, or NO_ROOM for one more that dials us."""
        self.check_ban(key)
        inbound = len(self._peers) - self.outbound()
        if key not in self._peers and inbound >= self._options.max_inbound:
            raise RefusalError(
                NetworkCode.NO_ROOM,
                f"this node has its {self._options.max_inbound} inbound peers; try another",
                limit=str(self._options.max_inbound),
            )

    def check_ban(self, key: bytes) -> None:
        """Raises Refusal BANNED."""
        now = self._clocks.wall()
        until = self.bans.until(key, now)
        if until is not None:
            raise RefusalError(
                NetworkCode.BANNED,
                f"node key {key.hex()} is banned for {until - now:.0f} more seconds",
                field="node_key",
            )

    def banned(self) -> set[bytes]:
        """The node keys that are refused now."""
        return set(self.bans.active(self._clocks.wall()))

    def admit(self, identity: Identity, transport: str, host: str) -> str:
        """Take in a peer that dialled this node and proved its key; returns its session.

        Raises Refusal as `check_welcome` does.
        """
        self.check_welcome(identity.node_key)
        peer = self._known(identity, host, outbound=False)
        while len(peer.sessions) >= MAX_SESSIONS:
            self._end_session(peer, next(iter(peer.sessions)))
        session = secrets.token_hex(32)
        peer.sessions[session] = transport
        peer.last_seen = self.now()
        self._sessions[session] = peer
        self._tell(self.on_admitted, peer)
        self._tell(self.on_height, peer)
        return session

    def attach(self, link: Link, *, outbound: bool) -> Peer:
        """Take in a peer that this node dialled. The link is the set's from now on.

        Raises Refusal BANNED. A second link to the same peer takes the first one's place.
        """
        self.check_ban(link.identity.node_key)
        peer = self._known(link.identity, link.endpoint.host, outbound=outbound)
        previous, peer.link = peer.link, link
        peer.endpoint = link.endpoint
        if previous is not None:
            self._close(previous)
        self._tell(self.on_linked, peer)
        self._tell(self.on_height, peer)
        return peer

    def detach(self, peer: Peer, link: Link) -> None:
        """A link broke. The peer stays for as long as it calls by itself."""
        if peer.link is link:
            peer.link = None
        self._close(link)

    def caller(self, context: CallContext) -> Peer:
        """The peer that makes a call. Raises Refusal NO_SESSION.

        A session holds for the connection on which it was made and no other, so that one
        which was overheard is of no use.
        """
        for key, value in context.invocation_metadata() or ():
            if key == SESSION_METADATA:
                session = cast("str", value)
                peer = self._sessions.get(session)
                if peer is not None and peer.sessions[session] == context.peer():
                    peer.last_seen = self.now()
                    return peer
        raise RefusalError(
            NetworkCode.NO_SESSION,
            f"{SESSION_METADATA}: missing, or not of this connection; shake hands first "
            "(PeerService.Hello, then Authenticate)",
            field=SESSION_METADATA,
        )

    def heard_height(self, peer: Peer, height: int) -> None:
        """A peer told how far its chain is."""
        if height != peer.height:
            peer.height = height
            self._tell(self.on_height, peer)

    def punish(self, peer: Peer, offence: Offence, why: str) -> None:
        """Count an offence; ban the peer when it was one too many."""
        reached = peer.score.add(offence, self.now())
        log.info("%s: %s: %s", peer, offence.value, why)
        if reached:
            self.ban(peer.key, self._options.ban_s, f"score over the limit, last {offence.value}")

    def ban(self, key: bytes, seconds: float, why: str) -> None:
        """Refuse a key for a time, and hang up if it is connected."""
        self.bans.add(key, self._clocks.wall(), seconds)
        log.warning("banned %s for %.0f s: %s", key.hex()[:12], seconds, why)
        peer = self._peers.get(key)
        if peer is not None:
            self.drop(peer, "banned")

    def drop(self, peer: Peer, why: str) -> None:
        """Hang up on a peer and forget its session."""
        if self._peers.get(peer.key) is not peer:
            return
        del self._peers[peer.key]
        for session in tuple(peer.sessions):
            self._end_session(peer, session)
        link, peer.link = peer.link, None
        if link is not None:
            self._close(link)
        log.info("%s left: %s", peer, why)
        self._tell(self.on_left, peer)

    async def close(self) -> None:
        """Hang up on everybody, and wait until all connections are closed."""
        for peer in self:
            self.drop(peer, "this node stops")
        while self._closing:
            await asyncio.wait(self._closing)

    def reap(self) -> None:
        """Let go of peers that are neither linked nor heard of."""
        now = self.now()
        for peer in self:
            if peer.link is None and not peer.streams and now - peer.last_seen > SILENCE_S:
                self.drop(peer, "silent")

    def _known(self, identity: Identity, host: str, *, outbound: bool) -> Peer:
        peer = self._peers.get(identity.node_key)
        if peer is None:
            peer = Peer(identity, host, outbound=outbound, now=self.now())
            self._peers[peer.key] = peer
            peer.learn(identity, host)
            log.info("%s joined (%s, height %d)", peer, peer.agent, peer.height)
        else:
            peer.learn(identity, host)
        return peer

    def _end_session(self, peer: Peer, session: str) -> None:
        del peer.sessions[session]
        del self._sessions[session]

    def _close(self, link: Link) -> None:
        closing = asyncio.get_running_loop().create_task(link.close(), name="close link")
        self._closing.add(closing)
        closing.add_done_callback(self._closing.discard)

    @staticmethod
    def _tell(listeners: list[Listener], peer: Peer) -> None:
        for listener in listeners:
            listener(peer)
