"""Settings of channels and servers, and of the peers' side as a whole.

Sizes are in bytes, times in the unit that the name ends with.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

PROTOCOL_VERSION = 1
"""The peers' protocol; both sides must speak the same."""

PEER_MESSAGE_BYTES = 4 * 1024 * 1024
"""The most that one message between peers may hold: a proposal with a full block."""

API_MESSAGE_BYTES = 4 * 1024 * 1024
"""The most that one message of the API may hold; whatever is larger is paged or cut in chunks."""

PAGE_BYTES = 1024 * 1024
"""Pages of a list stay under this."""

SESSION_METADATA = "fedcoin-session"
"""The metadata key that carries a peer's session."""

GrpcOptions = Sequence[tuple[str, int | str]]


def server_options(max_message_bytes: int) -> GrpcOptions:
    """Options of a listener.

    ``so_reuseport`` is off, since with it a second node on the same port would start
    and take half of the first one's callers.
    """
    return (
        ("grpc.so_reuseport", 0),
        ("grpc.max_receive_message_length", max_message_bytes),
        ("grpc.max_send_message_length", max_message_bytes),
        ("grpc.max_metadata_size", 16 * 1024),
        ("grpc.max_concurrent_streams", 256),
        ("grpc.keepalive_time_ms", 20_000),
        ("grpc.keepalive_timeout_ms", 10_000),
        ("grpc.keepalive_permit_without_calls", 1),
        # A caller may ping as often as our own channels do, with some slack.
        ("grpc.http2.min_recv_ping_interval_without_data_ms", 5_000),
        ("grpc.http2.max_ping_strikes", 10),
    )


@dataclass(frozen=True, slots=True)
class Tls:
    """Mutual TLS of a consortium: PEM files of this node and of the authority of all."""

    certificate: Path
    key: Path
    authority: Path


@dataclass(frozen=True, slots=True)
class PeerOptions:
    """How this node meets its peers."""

    listen: str = "127.0.0.1:7050"
    """host:port of the listener; port 0 takes a free one."""

    advertise: str = ""
    """host:port that peers are told to dial; empty means the listener's own. A wildcard
    host (0.0.0.0) is told as such: peers put the address that they see in its place."""

    seeds: tuple[str, ...] = ()
    """host:port of peers that are dialled for as long as the node runs."""

    max_outbound: int = 8
    """How many peers this node dials of its own accord, seeds not counted."""

    max_inbound: int = 32
    """How many peers that dialled this node it keeps."""

    peer_exchange: bool = True
    """Ask peers for others, and dial those."""

    insecure: bool = False
    """Allow plaintext beyond loopback."""

    tls: Tls | None = None
    """Mutual TLS instead of plaintext."""

    dial_timeout_s: float = 5.0
    first_backoff_s: float = 0.2
    max_backoff_s: float = 20.0
    ping_interval_s: float = 10.0
    status_interval_s: float = 2.0
    exchange_interval_s: float = 30.0
    ban_s: float = 3600.0
    """How long a peer whose score reached the limit stays out."""
