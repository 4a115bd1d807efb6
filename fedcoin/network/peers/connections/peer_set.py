"""The set of connected peers: which may join, and which must leave."""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import cast

from fedcoin.data.errors import RefusalError
from fedcoin.data.lru import LruDict
from fedcoin.network.errors import NetworkCode
from fedcoin.network.host_groups import group_of
from fedcoin.network.interceptors import CallContext
from fedcoin.network.peer_options import SESSION_METADATA, PeerOptions
from fedcoin.network.peers.connections.handshake import Identity
from fedcoin.network.peers.connections.inbound_slots import InboundSlots
from fedcoin.network.peers.connections.link import Link
from fedcoin.network.peers.connections.peer import Conduct, Peer
from fedcoin.network.peers.protection.bans import Bans
from fedcoin.network.peers.protection.refused_keys import RefusedKeys
from fedcoin.network.peers.protection.reputation import Offence

log = logging.getLogger(__name__)

SILENCE_S = 15.0
"""A peer without a stream or a link is dropped after this silence, in seconds."""

MAX_SESSIONS = 4
"""The largest number of sessions of a peer, which may dial several addresses of this node."""

MAX_REMEMBERED = 4096
"""How many peers' scores and rates are remembered after they have left."""

PeerCallback = Callable[[Peer], None]


@dataclass(frozen=True, slots=True)
class PeerClocks:
    """The clocks that the code for peers uses."""

    monotonic: Callable[[], float]
    """Returns seconds, on a clock that never goes back."""
    wall: Callable[[], float]
    """Returns Unix seconds."""


class PeerSet:
    """The connected peers, each of which has proved its key; bounded in both directions.

    Callbacks run when a peer has dialled this node (`on_admitted`), was dialled (`on_linked`), has
    a new height (`on_height`) or has left (`on_left`).

    Args:
        options: Limits.
        bans: The bans that are in force.
        clocks: The monotonic clock for silences and the wall clock for bans.
        power_of: Gives the voting power of a node key, in sap: validators come first when there
            are more peers than places.
    """

    def __init__(
        self,
        options: PeerOptions,
        bans: Bans,
        clocks: PeerClocks,
        power_of: Callable[[bytes], int] = lambda node_key: 0,
    ) -> None:
        self._options = options
        places = options.max_inbound, options.max_inbound_of_host
        self._slots = InboundSlots(*places, options.hosts, power_of)
        self._power_of = power_of
        self._conducts: LruDict[bytes, Conduct] = LruDict(MAX_REMEMBERED)
        self._clocks = clocks
        self._closing: set[asyncio.Task[None]] = set()
        self._peers: dict[bytes, Peer] = {}
        self._sessions: dict[str, Peer] = {}
        self.bans = bans
        self.hosts = options.hosts
        self.refused = RefusedKeys(options.refused_keys)
        self.on_admitted: list[PeerCallback] = []
        self.on_linked: list[PeerCallback] = []
        self.on_height: list[PeerCallback] = []
        self.on_left: list[PeerCallback] = []

    def __iter__(self) -> Iterator[Peer]:
        return iter(tuple(self._peers.values()))

    def __len__(self) -> int:
        """Return the number of connected peers."""
        return len(self._peers)

    def get(self, key: bytes) -> Peer | None:
        """Find a peer.

        Args:
            key: The peer's node key, 32 bytes.

        Returns:
            The peer; None when it is not connected.
        """
        return self._peers.get(key)

    def now(self) -> float:
        """Read the monotonic clock, in seconds."""
        return self._clocks.monotonic()

    def outbound(self) -> int:
        """Count the peers that this node dialled and that are not silent."""
        return sum(peer.outbound and not peer.is_silent(self.now()) for peer in self)

    def check_admission(self, key: bytes, host: str) -> None:
        """Check whether a peer that dials this node may join.

        Args:
            key: The peer's node key, 32 bytes, which may not be proved yet.
            host: The host of the connection; empty when unknown.

        Raises:
            RefusalError: BANNED when key or host are banned; KEY_REFUSED when the operator refuses
                the key; NO_ROOM when all inbound places are taken.
        """
        self.check_ban(key, host)
        self._leaver_for(key, host)

    def _leaver_for(self, key: bytes, host: str) -> Peer | None:
        if key in self._peers:
            return None
        inbound = [peer for peer in self._peers.values() if not peer.outbound]
        return self._slots.choose_leaver(inbound, key, host, self.now())

    def check_ban(self, key: bytes, host: str) -> None:
        """Refuse a banned key or host.

        Args:
            key: A node key, 32 bytes.
            host: The host of the connection; empty when unknown.

        Raises:
            RefusalError: BANNED when key or host are banned; KEY_REFUSED when settings refuse it.
        """
        self.refused.check(key)
        now = self._clocks.wall()
        until = self.bans.until(key, now)
        if until is not None:
            raise _banned(f"node key {key.hex()}", until - now, "node_key")
        until = self._host_banned_until(key, host, now)
        if until is not None:
            raise _banned(f"host {group_of(host)}", until - now, "host")

    def _host_banned_until(self, key: bytes, host: str, now: float) -> float | None:
        # Strangers at a validator's address must not be able to get it banned with their keys.
        return None if self._power_of(key) else self.bans.host_until(group_of(host), now)

    def banned(self) -> set[bytes]:
        """List the node keys that are banned now, or refused by the operator's settings."""
        return set(self.bans.active(self._clocks.wall())) | self.refused.keys

    def admit(self, identity: Identity, transport: str, host: str) -> str:
        """Add a peer that dialled this node and proved its key.

        Args:
            identity: The peer's identity, from the handshake.
            transport: gRPC's name of the connection.
            host: The host of the connection; empty when unknown.

        Returns:
            The session, which the peer sends with every call on this connection.

        Raises:
            RefusalError: BANNED when the key or its host is banned; KEY_REFUSED when the operator's
                settings refuse the key; NO_ROOM when all inbound places are taken.
        """
        self.check_ban(identity.node_key, host)
        leaver = self._leaver_for(identity.node_key, host)
        if leaver is not None:
            self.drop(leaver, "its place goes to a validator with more power")
        peer = self._known(identity, host, outbound=False)
        peer.caller_host = host
        while len(peer.sessions) >= MAX_SESSIONS:
            self._end_session(peer, next(iter(peer.sessions)))
        session = secrets.token_hex(32)
        peer.sessions[session] = transport
        peer.last_seen = self.now()
        self._sessions[session] = peer
        self._notify(self.on_admitted, peer)
        self._notify(self.on_height, peer)
        return session

    def attach(self, link: Link, *, outbound: bool) -> Peer:
        """Add a peer that this node dialled.

        Args:
            link: The link, which this set closes from now on. A second link to the same peer
                replaces the first.
            outbound: Whether a new peer counts as outbound.

        Returns:
            The peer with its new link; the same object as before when it was connected.

        Raises:
            RefusalError: BANNED when key or host are banned; KEY_REFUSED when settings refuse it.
        """
        self.check_ban(link.identity.node_key, link.endpoint.host)
        peer = self._known(link.identity, link.endpoint.host, outbound=outbound)
        previous, peer.link = peer.link, link
        peer.endpoint = link.endpoint
        if previous is not None:
            self._close(previous)
        self._notify(self.on_linked, peer)
        self._notify(self.on_height, peer)
        return peer

    def detach(self, peer: Peer, link: Link) -> None:
        """Remove a broken link. The peer stays in the set while it calls this node.

        Args:
            peer: A connected peer.
            link: The link that broke.
        """
        if peer.link is link:
            peer.link = None
        self._close(link)

    def caller(self, context: CallContext) -> Peer:
        """Find the peer that makes a call.

        A session is valid on the connection of its handshake only, so that an overheard session is
        useless.

        Args:
            context: gRPC's context of the call, with its metadata.

        Returns:
            The peer whose session the call names.

        Raises:
            RefusalError: NO_SESSION when the call has no session of this connection.
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
            f"{SESSION_METADATA}: missing, or of another connection; perform the handshake first "
            "(PeerService.Hello, then Authenticate)",
            field=SESSION_METADATA,
        )

    def update_height(self, peer: Peer, height: int) -> None:
        """Record the height of a peer's chain.

        Args:
            peer: A connected peer.
            height: The height that it reported.
        """
        if height != peer.height:
            peer.height = height
            self._notify(self.on_height, peer)

    def punish(self, peer: Peer, offence: Offence, why: str) -> None:
        """Count an offence, and ban the peer when its score reaches the limit.

        A bad signature ends the connection at once, so that a further one needs another proof of
        the key: what a third party puts into one connection does not get its owner banned.

        Args:
            peer: The peer that misbehaved.
            offence: The offence; its kind decides the points.
            why: Details for the log.
        """
        if self._peers.get(peer.key) is not peer:
            # What came after the connection ended counts no more.
            return
        reached = peer.score.add(offence, self.now())
        log.info("%s: %s: %s", peer, offence.value, why)
        if reached:
            reason = f"score over the limit, last {offence.value}"
            self.ban(peer.key, self._options.ban_s, reason, peer.caller_host)
        elif offence is Offence.BAD_SIGNATURE:
            self.drop(peer, "a bad signature")

    def ban(self, key: bytes, seconds: float, why: str, host: str = "") -> None:
        """Ban a key, and disconnect its peer.

        Args:
            key: A node key, 32 bytes.
            seconds: The length of the ban, in seconds.
            why: The reason, for the log.
            host: The host that it counts against; empty for none. A host is banned when
                `MAX_BANNED_KEYS_OF_HOST` of its keys are.
        """
        counted = "" if self._options.hosts.is_exempt(host) else group_of(host)
        is_host_banned = self.bans.add(key, self._clocks.wall(), seconds, counted)
        log.warning("banned %s for %.0f s: %s", key.hex()[:12], seconds, why)
        if key in self._peers:
            self.drop(self._peers[key], "banned")
        if is_host_banned:
            self.ban_host(host, seconds, "several of its node keys are banned")

    def ban_host(self, host: str, seconds: float, why: str) -> None:
        """Ban a host, and disconnect the peers that dialled this node from it, but no validators.

        Args:
            host: The host's IP address.
            seconds: The length of the ban, in seconds.
            why: The reason, for the log.
        """
        group = group_of(host)
        self.bans.add_host(group, self._clocks.wall(), seconds)
        log.warning("banned host %s for %.0f s: %s", group, seconds, why)
        for peer in self:
            is_of_host = bool(peer.caller_host) and group_of(peer.caller_host) == group
            if is_of_host and not self._power_of(peer.key):
                self.drop(peer, "its host is banned")

    def is_banned(self, key: bytes | None, host: str) -> bool:
        """Tell whether a node is banned or refused now, by its key or by its host.

        Args:
            key: Its node key; None when it is not known.
            host: Its host name or IP address.

        Returns:
            True when a ban of the key or of the host has not ended, or the key is refused.
        """
        if key in self.banned():
            return True
        return self._host_banned_until(key or b"", host, self._clocks.wall()) is not None

    def drop(self, peer: Peer, why: str) -> None:
        """Disconnect a peer and end its sessions.

        Args:
            peer: The peer; one that is not connected any more is ignored.
            why: The reason, for the log.
        """
        if self._peers.get(peer.key) is not peer:
            return
        del self._peers[peer.key]
        for session in tuple(peer.sessions):
            self._end_session(peer, session)
        link, peer.link = peer.link, None
        if link is not None:
            self._close(link)
        log.info("%s left: %s", peer, why)
        self._notify(self.on_left, peer)

    async def close(self) -> None:
        """Disconnect all peers, and wait until their connections are closed."""
        for peer in self:
            self.drop(peer, "this node is stopping")
        while self._closing:
            await asyncio.wait(self._closing)

    def reap(self) -> None:
        """Drop peers that have neither link nor stream and have not called for `SILENCE_S`."""
        now = self.now()
        for peer in self:
            if peer.link is None and not peer.streams and now - peer.last_seen > SILENCE_S:
                self.drop(peer, "silent")

    def _known(self, identity: Identity, host: str, *, outbound: bool) -> Peer:
        if self._power_of(identity.node_key):
            self.hosts.validators.note(identity.node_key, host)
        peer = self._peers.get(identity.node_key)
        if peer is None:
            conduct = self._conducts.get_or_create(identity.node_key, Conduct)
            peer = Peer(identity, host, outbound=outbound, now=self.now(), conduct=conduct)
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
    def _notify(listeners: list[PeerCallback], peer: Peer) -> None:
        for listener in listeners:
            listener(peer)


def _banned(who: str, seconds: float, field: str) -> RefusalError:
    why = f"{who} is banned for {seconds:.0f} more seconds"
    return RefusalError(NetworkCode.BANNED, why, field=field)
