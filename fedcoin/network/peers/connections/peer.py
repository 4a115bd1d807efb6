"""One connected peer, whichever side dialled."""

from __future__ import annotations

from fedcoin.network.peers.connections.endpoints import Endpoint
from fedcoin.network.peers.connections.handshake import Identity
from fedcoin.network.peers.connections.link import Link
from fedcoin.network.peers.protection.limits import LIMITS, Meter
from fedcoin.network.peers.protection.reputation import Reputation
from fedcoin.network.ports import PeerInfo
from fedcoin.network.token_bucket import TokenBucket

RANGES = LIMITS["BlockGossipService/StreamBlocks"]


class Peer:
    """What this node knows and holds of a peer.

    There are two directions: `link` is the connection that this node made, `sessions` are those
    that the peer made. Either may be missing.
    """

    def __init__(self, identity: Identity, host: str, *, outbound: bool, now: float) -> None:
        self.key = identity.node_key
        self.agent = identity.agent
        self.outbound = outbound
        self.height = identity.height
        self.host = host
        """The host that its connection comes from, or that was dialled; empty if unknown."""
        self.endpoint: Endpoint | None = identity.endpoint
        self.link: Link | None = None
        self.sessions: dict[str, str] = {}
        """Session to the connection that it holds for (gRPC's name of it), the oldest first."""
        self.streams = 0
        """How many consensus streams it has open with this node."""
        self.last_seen = now
        self.useful_blocks = 0
        """How many blocks it gave that this node lacked: its rank when blocks are fetched."""
        self.ranges = TokenBucket(RANGES.rate / 2, RANGES.burst / 2, now)
        """How many ranges of blocks it may be asked for: half of what it allows."""
        self.lacks = 0
        """The greatest height of a block that it said it does not keep, having begun later."""
        self.score = Reputation()
        self.meter = Meter()

    def __str__(self) -> str:
        where = f" at {self.endpoint}" if self.endpoint else ""
        return f"peer {self.key.hex()[:12]}{where}"

    def learn(self, identity: Identity, host: str) -> None:
        """Take over what a handshake told anew."""
        self.agent = identity.agent
        self.height = identity.height
        if host:
            self.host = host
        if identity.endpoint is not None and self.link is None:
            # An address that was dialled is better than one that was told.
            self.endpoint = identity.endpoint.seen_from(host)

    def info(self, now: float) -> PeerInfo:
        """What people see of it."""
        return PeerInfo(
            node_key=self.key,
            address=str(self.endpoint) if self.endpoint else "",
            outbound=self.outbound,
            height=self.height,
            score=round(self.score.value(now)),
            agent=self.agent,
        )
