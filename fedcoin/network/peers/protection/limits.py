"""Size and rate of every message between peers, in one table.

Rates are for one peer (before its handshake: for one host), as a token bucket: `burst`
messages at once, `rate` a second in the long run. Beyond that the message is refused
and the peer's score grows. The numbers leave an honest peer a factor of ten: the
busiest hour of a network of a hundred validators stays far below them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from types import MappingProxyType

from fedcoin.data.artifacts.manifest import CHUNK_BYTES
from fedcoin.data.errors import RefusalError
from fedcoin.data.messages.parameters import PARAMETER_RANGES
from fedcoin.network.errors import NetworkCode
from fedcoin.network.options import PEER_MESSAGE_BYTES
from fedcoin.network.token_bucket import TokenBucket

KIB = 1024

MAX_RELAYED = 256
"""The most transactions in one RelayTransactions."""

MAX_RELAYED_BYTES = 1024 * KIB
"""The most bytes of transactions in one RelayTransactions, but for a single large one."""


LARGEST = PARAMETER_RANGES["max_transaction_bytes"][1] + 4 * KIB
"""A message around one transaction."""


@dataclass(frozen=True, slots=True)
class Limit:
    """What one kind of message may be."""

    max_bytes: int
    """Of one serialised message."""

    rate: float
    """Messages a second in the long run."""

    burst: int
    """Messages at once."""

    concurrent: int = 16
    """Calls of this kind under way at once."""


LIMITS: Mapping[str, Limit] = MappingProxyType(
    {
        # Before the handshake these count for a host, on which many nodes may live.
        "PeerService/Hello": Limit(1 * KIB, rate=10, burst=200),
        "PeerService/Authenticate": Limit(256, rate=10, burst=200),
        "PeerService/ListPeers": Limit(64, rate=1, burst=10),
        "PeerService/Ping": Limit(64, rate=2, burst=20),
        "BlockGossipService/AnnounceBlock": Limit(128, rate=20, burst=200),
        "BlockGossipService/ListHeaders": Limit(64, rate=10, burst=50, concurrent=2),
        "BlockGossipService/StreamBlocks": Limit(64, rate=100, burst=500, concurrent=4),
        "BlockGossipService/ListSnapshots": Limit(64, rate=1, burst=20, concurrent=2),
        "BlockGossipService/StreamSnapshot": Limit(64, rate=1, burst=20, concurrent=1),
        # The stream itself: any message in it, and how often it may be opened.
        "ConsensusService/Exchange": Limit(PEER_MESSAGE_BYTES, rate=1, burst=20, concurrent=2),
        "ConsensusMessage/proposal": Limit(PEER_MESSAGE_BYTES, rate=20, burst=100),
        "ConsensusMessage/vote": Limit(512, rate=2_000, burst=10_000),
        "ConsensusMessage/status": Limit(64, rate=20, burst=200),
        # As large as the largest transaction that a genesis can allow.
        "TransactionRelayService/RelayTransactions": Limit(LARGEST, rate=200, burst=500),
        # Each transaction of a relayed batch.
        "SignedTransaction": Limit(LARGEST, rate=2_000, burst=10_000),
        "ArtifactService/GetManifest": Limit(64, rate=50, burst=500),
        "ArtifactService/Download": Limit(64, rate=20, burst=200, concurrent=8),
        "ArtifactService/GetUploadStatus": Limit(64, rate=50, burst=500),
        # A manifest of the largest artifact, or a chunk.
        "ArtifactService/Upload": Limit(CHUNK_BYTES + 64 * KIB, rate=10, burst=50, concurrent=4),
    }
)
"""Message kind to limit. RPCs of the peers' listener by service and method."""


class Meter:
    """What one peer (or host) has used of each limit."""

    def __init__(self) -> None:
        self._buckets: dict[str, TokenBucket] = {}
        self._calls: dict[str, int] = {}

    def spend(self, kind: str, now: float, amount: int = 1) -> None:
        """Count messages of a kind. Raises Refusal RATE_LIMITED."""
        limit = LIMITS[kind]
        bucket = self._buckets.get(kind)
        if bucket is None:
            bucket = self._buckets[kind] = TokenBucket(limit.rate, limit.burst, now)
        if not bucket.take(now, amount):
            raise RefusalError(
                NetworkCode.RATE_LIMITED,
                f"{kind}: more than {limit.rate:g} a second; slow down",
                field=kind,
                limit=f"{limit.rate:g}/s",
            )

    @contextmanager
    def call(self, kind: str) -> Iterator[None]:
        """Hold a place for a call while it is under way. Raises Refusal TOO_MANY_CALLS."""
        running = self._calls.get(kind, 0)
        most = LIMITS[kind].concurrent
        if running >= most:
            raise RefusalError(
                NetworkCode.TOO_MANY_CALLS,
                f"{kind}: {most} calls are under way already; wait for one to end",
                field=kind,
                limit=str(most),
            )
        self._calls[kind] = running + 1
        try:
            yield
        finally:
            self._calls[kind] -= 1


def check_size(kind: str, size: int) -> None:
    """Refuse a message that is larger than its kind may be. Raises Refusal TOO_LARGE."""
    most = LIMITS[kind].max_bytes
    if size > most:
        raise RefusalError(
            NetworkCode.TOO_LARGE,
            f"{kind}: {size} bytes, more than {most}",
            field=kind,
            limit=str(most),
        )
