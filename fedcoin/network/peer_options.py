"""How a node connects to its peers: settings, and what all peers have in common."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from fedcoin.network.host_groups import HostGroups

PEER_MESSAGE_BYTES = 4 * 1024 * 1024
"""The longest message between peers, in bytes: a proposal with a full block."""

SESSION_METADATA = "fedcoin-session"
"""The metadata key that carries a peer's session."""


WAITING_CONNECTIONS = 128
"""How many connections to the peers' listener may be without a finished handshake, about."""


def count_peer_connections(peers: int) -> int:
    """Count the connections that the peers' listener takes.

    Args:
        peers: How many peers the settings allow.

    Returns:
        Two for each peer, and `WAITING_CONNECTIONS`.
    """
    return 2 * peers + WAITING_CONNECTIONS


@dataclass(frozen=True, slots=True)
class Tls:
    """The PEM files for mutual TLS within a consortium."""

    certificate: Path
    """This node's certificate."""
    key: Path
    """The private key of the certificate."""
    authority: Path
    """The certificate of the authority that signs all nodes' certificates."""


@dataclass(frozen=True, slots=True)
class PeerOptions:
    """The settings of a node's connections to its peers."""

    listen: str = "127.0.0.1:7050"
    """`host:port` of the listener; port 0 takes a free one."""
    advertise: str = ""
    """`host:port` that peers are to dial; empty means the listener's own. For a wildcard host
    (0.0.0.0) peers use the host that they see the connection come from."""
    seeds: tuple[str, ...] = ()
    """`key@host:port` of peers that are dialled as long as the node runs. Without a key, the key
    that answers first is pinned."""
    max_outbound: int = 8
    """How many peers this node dials by itself, not counting seeds."""
    max_inbound: int = 32
    """How many peers that dialled this node it accepts."""
    max_inbound_of_host: int = 4
    """How many of these may come from one host."""
    hosts: HostGroups = field(default_factory=HostGroups)
    """The hosts that are not limited or banned as hosts."""
    refused_keys: frozenset[bytes] = frozenset()
    """Node keys, 32 bytes each, that are neither dialled nor accepted."""
    peer_exchange: bool = True
    """Whether to ask peers for other peers, and to dial those."""
    insecure: bool = False
    """Whether plaintext is allowed to and from other machines."""
    tls: Tls | None = None
    """Mutual TLS; None for plaintext."""
    dial_timeout_s: float = 5.0
    """The deadline of each call of a handshake, in seconds."""
    first_backoff_s: float = 0.2
    """The mean pause after the first failure to dial an address, in seconds."""
    max_backoff_s: float = 20.0
    """The mean of the longest pause between two attempts to dial an address, in seconds."""
    ping_interval_s: float = 10.0
    """The pause between two pings of a peer, in seconds."""
    status_interval_s: float = 2.0
    """The pause between two messages with this node's height and round, in seconds."""
    exchange_interval_s: float = 30.0
    """The mean pause between two requests for other peers, in seconds."""
    ban_s: float = 3600.0
    """For how long a peer with a bad reputation is banned, in seconds."""

    @property
    def max_connections(self) -> int:
        """How many connections the listener takes."""
        return count_peer_connections(self.max_inbound + self.max_outbound + len(self.seeds))
