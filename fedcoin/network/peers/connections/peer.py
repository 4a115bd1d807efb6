"""One connected peer."""

from __future__ import annotations

from dataclasses import dataclass, field

from fedcoin.network.peers.connections.endpoints import Endpoint
from fedcoin.network.peers.connections.handshake import Identity
from fedcoin.network.peers.connections.link import Link
from fedcoin.network.peers.connections.node_addresses import NodeAddress
from fedcoin.network.peers.protection.limits import LIMITS, Meter
from fedcoin.network.peers.protection.reputation import Reputation
from fedcoin.network.ports.peers_port import PeerInfo
from fedcoin.network.token_bucket import TokenBucket

RANGE_LIMIT = LIMITS["BlockGossipService/StreamBlocks"]
"""The limit of requests for ranges of blocks, of which this node uses half."""

SILENT_S = 2.7
"""How long a peer may say nothing before it counts as gone, until it says something, in seconds:
each end of a connection says something at least every 1.4 s."""

MAX_TIME_MS = 1 << 53
"""Times of peers from here on are not believed, in Unix ms: JSON's numbers end here."""


@dataclass(frozen=True, slots=True)
class Conduct:
    """What a node remembers of a peer beyond its connections."""

    score: Reputation = field(default_factory=Reputation)
    """The score of its offences, which decays."""
    meter: Meter = field(default_factory=Meter)
    """The rates of its messages."""


class Peer:
    """One peer: its identity, its reported height, and its connections.

    There are two directions: `link` is the connection that this node dialled, `sessions` are those
    that the peer dialled. Either may be missing.

    Args:
        identity: The identity from the peer's handshake.
        host: The host of the connection; empty when unknown.
        outbound: True when this node dialled first.
        now: The present time in seconds on the monotonic clock.
        conduct: What is remembered of earlier connections; None begins anew.
    """

    def __init__(
        self,
        identity: Identity,
        host: str,
        *,
        outbound: bool,
        now: float,
        conduct: Conduct | None = None,
    ) -> None:
        self.key = identity.node_key
        self.agent = identity.agent
        self.outbound = outbound
        self.height = identity.height
        self.host = host
        """The host that its connection comes from, or that was dialled; empty when unknown."""
        self.caller_host = ""
        """The host that it dialled this node from last; empty when it never did."""
        self.endpoint: Endpoint | None = identity.endpoint
        self.link: Link | None = None
        self.sessions: dict[str, str] = {}
        """gRPC's name of the connection of each session, the oldest first."""
        self.streams = 0
        """The number of consensus streams that it has open with this node."""
        self.clock_difference_ms: int | None = None
        """How far its clock is ahead of this node's, in ms; None before it told its time."""
        self.last_seen = now
        self.useful_blocks = 0
        """Blocks that it sent and this node lacked."""
        self.blocks_per_second = 0.0
        """How fast it sent blocks when it was asked last: its rank when blocks are fetched."""
        self.headers_per_second: float | None = None
        """How fast it sent headers when it was asked last, 0 when others were faster; None before
        it is asked."""
        self.range_budget = TokenBucket(RANGE_LIMIT.rate / 2, RANGE_LIMIT.burst / 2, now)
        """Ranges of blocks that it may be asked for: half of what it allows."""
        self.max_missing_height = 0
        """The greatest height for which it answered that it does not keep the block."""
        conduct = conduct or Conduct()
        self.score = conduct.score
        self.meter = conduct.meter

    def __str__(self) -> str:
        where = f" at {self.endpoint}" if self.endpoint else ""
        return f"peer {self.key.hex()[:12]}{where}"

    def is_silent(self, now: float) -> bool:
        """Tell whether the peer counts as gone, although its connection may still be open.

        Args:
            now: The present time in seconds on the monotonic clock.

        Returns:
            True when nothing has come from it for `SILENT_S`, as from a process that is stopped or
            behind a cable that was pulled.
        """
        return now - self.last_seen > SILENT_S

    def learn(self, identity: Identity, host: str) -> None:
        """Update the peer from a further handshake.

        Args:
            identity: The identity from the peer's handshake.
            host: The host of the connection; empty when unknown.
        """
        self.agent = identity.agent
        self.height = identity.height
        if host:
            self.host = host
        if identity.endpoint is not None and self.link is None:
            # An address that this node dialled is known to work; this one is not.
            self.endpoint = identity.endpoint.seen_from(host)

    def learn_time(self, time_ms: int, own_time_ms: int) -> None:
        """Compare the peer's clock with this node's.

        Args:
            time_ms: The peer's time in Unix ms; 0 when it did not say.
            own_time_ms: This node's time when the peer read its clock, in Unix ms.
        """
        if 0 < time_ms < MAX_TIME_MS:
            self.clock_difference_ms = time_ms - own_time_ms

    def info(self, now: float) -> PeerInfo:
        """Describe the peer for the API.

        Args:
            now: The present time in seconds on the monotonic clock.

        Returns:
            What `NodeService.ListConnectedPeers` shows of the peer.
        """
        return PeerInfo(
            node_key=self.key,
            address=str(NodeAddress(self.endpoint, self.key)) if self.endpoint else "",
            outbound=self.outbound,
            height=self.height,
            score=round(self.score.value(now)),
            agent=self.agent,
            clock_difference_ms=self.clock_difference_ms,
            inbound=bool(self.sessions),
        )
