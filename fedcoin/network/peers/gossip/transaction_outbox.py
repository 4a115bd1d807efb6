"""What waits to be sent to one peer: transactions, and hashes of transactions."""

from __future__ import annotations

import asyncio
from collections import deque

from fedcoin.data.lru import LruSet
from fedcoin.network.call_limits import MAX_BATCH, MAX_BATCH_BYTES
from fedcoin.network.peers.connections.peer import Peer

MAX_WAITING = 4_096
"""The largest number of transactions that wait to be sent to one peer, and of hashes."""
MAX_WAITING_BYTES = 16 * 1024 * 1024
"""The largest size of these transactions, in bytes; the oldest ones make room, and reach the peer
through other peers."""

MAX_HASHES = 1_024
"""The largest number of hashes in one call."""

MIN_ANNOUNCE_S, MAX_ANNOUNCE_S = 0.05, 0.8
"""How long the first of several hashes waits for others, in seconds: the first time for a peer that
lacked one of the last, the second one for a peer that has all from their senders."""

KNOWN_TO_PEER = 4_096
"""The number of transactions that are remembered for each peer as those that it has."""


class Outbox:
    """The transactions and hashes that wait to be sent to one peer.

    Args:
        peer: The peer that they are sent to.
    """

    def __init__(self, peer: Peer) -> None:
        self.peer = peer
        self.known: LruSet[bytes] = LruSet(KNOWN_TO_PEER)
        self.sender: asyncio.Task[None] | None = None
        self.announcer: asyncio.Task[None] | None = None
        self.announce_s = MIN_ANNOUNCE_S
        """How long the first of several hashes waits for others now, in seconds."""
        self.verifying = asyncio.Lock()
        """Held while a batch that the peer sent is verified."""
        self._waiting: deque[bytes] = deque()
        self._bytes = 0
        self._hashes: deque[bytes] = deque(maxlen=MAX_WAITING)

    def __len__(self) -> int:
        """Return the number of waiting transactions."""
        return len(self._waiting)

    @property
    def num_hashes(self) -> int:
        """The number of waiting hashes."""
        return len(self._hashes)

    def note_reply(self, *, is_wanted: bool) -> None:
        """Choose how long the next hashes wait: twice as long as these if the peer lacked none.

        Args:
            is_wanted: Whether the peer asked for a transaction whose hash it was sent.
        """
        longer_s = min(2 * self.announce_s, MAX_ANNOUNCE_S)
        self.announce_s = MIN_ANNOUNCE_S if is_wanted else longer_s

    def put(self, raw: bytes) -> None:
        """Add a transaction; the oldest ones make room when a limit is reached.

        Args:
            raw: A serialised SignedTransaction.
        """
        self._waiting.append(raw)
        self._bytes += len(raw)
        while len(self._waiting) > MAX_WAITING or self._bytes > MAX_WAITING_BYTES:
            self._take()

    def put_hash(self, hash: bytes) -> None:
        """Add the hash of a transaction; the oldest one makes room when there are too many.

        Args:
            hash: 32 bytes.
        """
        self._hashes.append(hash)

    def clear(self) -> None:
        """Remove all that waits, and forget which transactions the peer has.

        On a new link the peer learns of all pending transactions.
        """
        self._waiting.clear()
        self._hashes.clear()
        self._bytes = 0
        self.known.clear()

    def batch(self) -> list[bytes]:
        """Remove the oldest waiting transactions, up to the limits of one call, and return them.

        Call only when at least one transaction waits. A transaction above the limit of bytes is
        returned alone.
        """
        taken = [self._take()]
        size = len(taken[0])
        while self._waiting and len(taken) < MAX_BATCH:
            size += len(self._waiting[0])
            if size > MAX_BATCH_BYTES:
                break
            taken.append(self._take())
        return taken

    def hashes(self) -> list[bytes]:
        """Remove the oldest waiting hashes, up to the limit of one call, and return them."""
        return [self._hashes.popleft() for _ in range(min(len(self._hashes), MAX_HASHES))]

    def _take(self) -> bytes:
        raw = self._waiting.popleft()
        self._bytes -= len(raw)
        return raw
