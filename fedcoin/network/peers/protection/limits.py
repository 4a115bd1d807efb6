"""Size and rate of every message between peers, in one table.

A rate limits one peer (before its handshake: one host) by a token bucket: `burst` messages at
once, `rate` messages a second in the long run. A message beyond that is refused, and the peer's
score grows. The numbers are ten times what an honest peer sends in a network of a hundred
validators.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from types import MappingProxyType

from fedcoin.data.errors import RefusalError
from fedcoin.data.messages.parameters import PARAMETER_RANGES
from fedcoin.network.call_limits import CallLimits
from fedcoin.network.errors import NetworkCode
from fedcoin.network.peer_options import PEER_MESSAGE_BYTES, PeerOptions
from fedcoin.network.token_bucket import TokenBucket

KIB = 1024
"""Bytes of a kibibyte."""

MAX_TRANSACTION_MESSAGE_BYTES = PARAMETER_RANGES["max_transaction_bytes"][1] + 4 * KIB
"""The largest message that holds one transaction."""


@dataclass(frozen=True, slots=True)
class Limit:
    """The limits of one kind of message."""

    max_bytes: int
    """The largest size of a serialised message, in bytes."""

    rate: float
    """The average number of messages a second that one peer may send."""

    burst: int
    """The number of messages that one peer may send at once, after a pause."""

    concurrent: int = 16
    """Calls of this kind that one peer may run at once."""


LIMITS: Mapping[str, Limit] = MappingProxyType(
    {
        # Before the handshake, the limits apply to a host, which may run many nodes.
        "PeerService/Hello": Limit(1 * KIB, rate=10, burst=200),
        "PeerService/Authenticate": Limit(256, rate=10, burst=200),
        "PeerService/ListPeers": Limit(64, rate=1, burst=10),
        "PeerService/Ping": Limit(64, rate=2, burst=20),
        "BlockGossipService/AnnounceBlock": Limit(128, rate=20, burst=200),
        "BlockGossipService/ListHeaders": Limit(64, rate=10, burst=50, concurrent=2),
        "BlockGossipService/StreamBlocks": Limit(64, rate=100, burst=500, concurrent=4),
        "BlockGossipService/ListSnapshots": Limit(64, rate=1, burst=20, concurrent=2),
        "BlockGossipService/StreamSnapshot": Limit(64, rate=1, burst=20, concurrent=1),
        # The size of any message in the stream, and how often the stream may be opened.
        "ConsensusService/Exchange": Limit(PEER_MESSAGE_BYTES, rate=1, burst=20, concurrent=2),
        "ConsensusMessage/proposal": Limit(PEER_MESSAGE_BYTES, rate=20, burst=100),
        "ConsensusMessage/vote": Limit(512, rate=2_000, burst=10_000),
        # Each message of round 0 of a signer that has no part in its height and did not send it:
        # nodes that are a block behind pass on two votes of each of up to 1,000 validators.
        "MisplacedSigner": Limit(PEER_MESSAGE_BYTES, rate=100, burst=2_000),
        "ConsensusMessage/status": Limit(64, rate=20, burst=200),
        "ConsensusMessage/hints": Limit(16 * KIB, rate=40, burst=400),
        # As large as the largest transaction that a genesis can allow.
        "TransactionRelayService/RelayTransactions": Limit(
            MAX_TRANSACTION_MESSAGE_BYTES, rate=200, burst=500
        ),
        # Each transaction of a relayed batch.
        "SignedTransaction": Limit(MAX_TRANSACTION_MESSAGE_BYTES, rate=10_000, burst=20_000),
        # Each hash of a transaction that the peer offers.
        "TransactionHash": Limit(32, rate=20_000, burst=65_536),
        "ArtifactService/GetManifest": Limit(384, rate=50, burst=500),
        "ArtifactService/Download": Limit(384, rate=20, burst=200, concurrent=8),
    }
)
"""The limits by kind of message: RPCs by service and method, messages in a stream by their name."""

STREAMS_OF_PEER = sum(
    LIMITS[kind].concurrent
    for kind in (
        "ConsensusService/Exchange",
        "BlockGossipService/StreamBlocks",
        "BlockGossipService/StreamSnapshot",
        "ArtifactService/Download",
    )
)
"""The largest number of streams that one peer may have open."""


def call_limits(options: PeerOptions) -> CallLimits:
    """Compute the limits of the peers' listener.

    All streams need a session, and each peer's are limited, so that no peer can take those of
    another: there are enough for the streams of all peers.

    Args:
        options: The largest numbers of peers and connections.

    Returns:
        The limits on the calls of all callers together, and of a host.
    """
    peers = options.max_inbound + options.max_outbound + len(options.seeds)
    return CallLimits(
        max_connections=options.max_connections,
        max_streams=STREAMS_OF_PEER * max(peers, 1),
        max_streams_of_host=STREAMS_OF_PEER * options.max_inbound_of_host,
        hosts=options.hosts,
    )


class Meter:
    """Counts the messages and calls of one peer (or host) by kind."""

    def __init__(self) -> None:
        self._buckets: dict[str, TokenBucket] = {}
        self._calls: dict[str, int] = {}

    def spend(self, kind: str, now: float, amount: int = 1) -> None:
        """Count messages of one kind.

        Args:
            kind: A key of `LIMITS`.
            now: The present time in seconds, on a clock that never goes back.
            amount: The number of messages.

        Raises:
            RefusalError: RATE_LIMITED when they exceed the rate and the burst of their kind.
        """
        if not self.try_spend(kind, now, amount):
            limit = f"{LIMITS[kind].rate:g}"
            raise RefusalError(
                NetworkCode.RATE_LIMITED,
                f"{kind}: more than {limit} a second; slow down",
                field=kind,
                limit=f"{limit}/s",
            )

    def try_spend(self, kind: str, now: float, amount: int = 1) -> bool:
        """Count messages of one kind, as `spend` does, unless they are too many.

        Args:
            kind: A key of `LIMITS`.
            now: The present time in seconds, on a clock that never goes back.
            amount: The number of messages.

        Returns:
            False when they exceed the rate and the burst of their kind; they are not counted then.
        """
        return self._bucket(kind, now).take(now, amount)

    def reserve(self, kind: str, now: float, amount: int) -> float:
        """Count messages of one kind that are not refused, and are to wait instead.

        Args:
            kind: A key of `LIMITS`.
            now: The present time in seconds, on a clock that never goes back.
            amount: The number of messages.

        Returns:
            How long they are to wait, in seconds, to keep to the rate and the burst of their kind.
        """
        return self._bucket(kind, now).reserve(now, amount)

    def _bucket(self, kind: str, now: float) -> TokenBucket:
        bucket = self._buckets.get(kind)
        if bucket is None:
            limit = LIMITS[kind]
            bucket = self._buckets[kind] = TokenBucket(limit.rate, limit.burst, now)
        return bucket

    @contextmanager
    def call(self, kind: str) -> Iterator[None]:
        """Count a call while it runs.

        Args:
            kind: A key of `LIMITS`.

        Yields:
            Nothing; the call is counted inside the `with` block.

        Raises:
            RefusalError: TOO_MANY_CALLS when as many calls of this kind run as `LIMITS` allows.
        """
        running = self._calls.get(kind, 0)
        max_calls = LIMITS[kind].concurrent
        if running >= max_calls:
            raise RefusalError(
                NetworkCode.TOO_MANY_CALLS,
                f"{kind}: {max_calls} calls are already running; wait for one to end",
                field=kind,
                limit=str(max_calls),
            )
        self._calls[kind] = running + 1
        try:
            yield
        finally:
            self._calls[kind] -= 1


def check_size(kind: str, size: int) -> None:
    """Refuse a message that is too large for its kind.

    Args:
        kind: A key of `LIMITS`.
        size: The size of the serialised message in bytes.

    Raises:
        RefusalError: TOO_LARGE when it is larger than `LIMITS` allows.
    """
    max_bytes = LIMITS[kind].max_bytes
    if size > max_bytes:
        raise RefusalError(
            NetworkCode.TOO_LARGE,
            f"{kind}: {size} bytes; at most {max_bytes} are allowed",
            field=kind,
            limit=str(max_bytes),
        )
