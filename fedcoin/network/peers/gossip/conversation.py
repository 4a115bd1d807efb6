"""The streams with one peer, and what is known of the messages that it has."""

from __future__ import annotations

from fedcoin.data.lru import LruSet
from fedcoin.network.peers.connections.peer import Peer
from fedcoin.network.peers.gossip.consensus_messages import MAX_HINTS, encode_hints
from fedcoin.network.peers.protection.send_queue import SendQueue
from fedcoin.network.ports.consensus_port import EARLY_HEIGHTS, Position

KNOWN_TO_PEER = 4_096
"""The number of messages that are remembered for each peer as those that it has."""
EARLY_TO_PEER = 1_024
"""The same of those that it got early: enough for all votes of 100 validators at four heights, and
few enough to be reached within minutes, so that a node's memory does not grow for long."""
MIN_EQUAL_STATUSES = 2
"""After this many equal statuses in a row, a peer gets what it may lack without asking."""
MAX_EQUAL_STATUSES = 5
"""After this many equal statuses in a row, messages are sent to the peer again."""


class Conversation:
    """The streams with one peer: one, or two when both sides dialled.

    Attributes:
        peer: The peer.
        queues: What waits to be sent, one queue for each stream, the oldest stream first.
        known: Digests of the messages that the peer has.
        early: Digests of messages that the peer got while it decided an earlier height.
        direct: Node keys from which the peer receives messages directly.
        offers: Digests of messages that are offered to the peer with the next hints.
        wants: Digests of messages that the peer is asked for with the next hints.
        position: The peer's height and round; None before it has sent them.
        quiet_looks: How often its owner looked at it since anything was sent.
        is_waiting: Whether the peer has sent the same height and round several times in a row since
            this node has messages of that height.
    """

    def __init__(self, peer: Peer) -> None:
        """Begin without streams.

        Args:
            peer: The connected peer, whose reputation suffers when it does not read.
        """
        self.peer = peer
        self.queues: list[SendQueue] = []
        self.known: LruSet[bytes] = LruSet(KNOWN_TO_PEER)
        self.early: LruSet[bytes] = LruSet(EARLY_TO_PEER)
        self.direct: frozenset[bytes] = frozenset()
        self.offers: LruSet[bytes] = LruSet(KNOWN_TO_PEER)
        self.wants: LruSet[bytes] = LruSet(KNOWN_TO_PEER)
        self.position: Position | None = None
        self.quiet_looks = 0
        self.is_waiting = False
        self._repeated = 0
        self._told: frozenset[bytes] = frozenset()

    def send(self, raw: bytes) -> bool:
        """Queue bytes on the oldest stream; False when the peer is too slow for them.

        Args:
            raw: A serialised `ExchangeRequest`.

        Returns:
            False when the queue is full.
        """
        self.quiet_looks = 0
        return not self.queues or self.queues[0].put(raw)

    def send_message(self, raw: bytes, digest: bytes, height: int) -> bool:
        """Queue a proposal or vote, and note that the peer has it if it decides its height.

        A peer that is a few heights behind keeps it as a rule, but not always.

        Args:
            raw: A serialised `ExchangeRequest`.
            digest: The message's digest.
            height: The message's height.

        Returns:
            False when the queue is full.
        """
        if self.queues and self.position is not None:
            if height <= self.position.height:
                self.known.add(digest)
            elif height <= self.position.height + EARLY_HEIGHTS:
                self.early.add(digest)
        return self.send(raw)

    def hints(self, direct: frozenset[bytes]) -> bytes | None:
        """Take the hints that wait for the peer.

        Args:
            direct: The node keys from which this node receives messages directly.

        Returns:
            A serialised `ExchangeRequest`; None when there is nothing new to say.
        """
        # What the peer got or offered meanwhile is no news.
        offers = [digest for digest in self.offers.take(MAX_HINTS) if digest not in self.known]
        wants = self.wants.take(MAX_HINTS)
        # Without the peer itself: that it sends its own messages need not be told.
        direct -= {self.peer.key}
        news = None if direct == self._told else sorted(direct)[:MAX_HINTS]
        if not offers and not wants and news is None:
            return None
        self._told = direct
        return encode_hints(offers, wants, news)

    def moved(self, position: Position, *, is_voting: bool) -> None:
        """Record the peer's position, where it may need messages that it could not use before.

        Args:
            position: The height and round that the peer says it decides.
            is_voting: Whether this node has messages of that height. A peer that repeats its
                position between blocks lacks nothing.
        """
        before, self.position = self.position, position
        self._repeated = self._repeated + 1 if position == before and is_voting else 0
        self.is_waiting = self._repeated >= MIN_EQUAL_STATUSES
        grown = 0 if before is None else position.height - before.height
        is_next = 1 <= grown <= EARLY_HEIGHTS and position.round == 0
        if self._repeated >= MAX_EQUAL_STATUSES or not (position == before or is_next):
            self.known.clear()
            self._repeated = 0
