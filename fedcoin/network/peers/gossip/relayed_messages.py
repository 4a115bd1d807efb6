"""Which proposals and votes were handled, which are kept for peers that ask, and which are missing.

A message that one peer offers comes from its signer as a rule, at almost the same time. Only when
it does not, the peers that offered it are asked, one after another.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field

from fedcoin.data.lru import LruDict

SEEN_MESSAGES = 8_192
"""The number of messages, of all peers, that are remembered in order to handle each once."""

MAX_KEPT_BYTES, MAX_KEPT_VOTE_BYTES = 4 * 1024 * 1024, 2 * 1024 * 1024
"""The size of the messages that are kept for peers that ask for them, in bytes, and of the votes;
of the last message alone when it is larger."""
ENTRY_BYTES = 256
"""What each kept message counts for besides its own size, in bytes."""

HINTS_S = 0.5
"""The mean time for which offers to a peer gather, in seconds, unless this node's height changes
before; nodes that offer at different times need not all offer the same."""
QUIET_LOOK_S, QUIET_LOOKS = 0.35, 3
"""The time between two looks for peers to which nothing was sent, in seconds, and after how many
such looks the next one sends an empty message, so that the peer knows that this node is there: 1.05
to 1.4 s after the last message. Between two statuses, which are 2 s apart, one is enough."""
STATUS_S = 0.2
"""How long a new height or round waits to be sent, in seconds: a vote usually shows it before."""
LOOK_S = 0.05
"""The time between two looks for messages that are late, in seconds."""
ASK_AFTER_S = 0.5
"""How long an offered message may be on its way before a peer is asked for it, in seconds; and how
long that peer has before the next two are asked, and these before the next four."""
MAX_OFFERS = 1_024
"""The largest number of offers of one peer that are remembered; the oldest one makes room."""

MAX_MISSES = 3
"""After this many messages of a peer in a row that others had to be asked for, its messages are
taken from others for `INDIRECT_S`."""
INDIRECT_S = 60.0
"""How long the messages of a peer that failed to send them are taken from others, in seconds."""
MAX_SOURCES = 1_024
"""The largest number of peers whose missed messages are counted."""


class KeptMessages:
    """The latest messages, within a bound on their size.

    Args:
        max_bytes: The largest size of all of them, in bytes.
    """

    def __init__(self, max_bytes: int = MAX_KEPT_BYTES) -> None:
        self._max_bytes = max_bytes
        self._kept: OrderedDict[bytes, bytes] = OrderedDict()
        self._bytes = 0

    @property
    def num_bytes(self) -> int:
        """What all kept messages count for, in bytes."""
        return self._bytes

    def put(self, digest: bytes, raw: bytes) -> None:
        """Keep a message; the oldest ones make room.

        Args:
            digest: The message's digest.
            raw: The serialised `ExchangeRequest`.
        """
        if digest in self._kept:
            return
        self._kept[digest] = raw
        self._bytes += len(raw) + ENTRY_BYTES
        while self._bytes > self._max_bytes and len(self._kept) > 1:
            _, oldest = self._kept.popitem(last=False)
            self._bytes -= len(oldest) + ENTRY_BYTES

    def get(self, digest: bytes) -> bytes | None:
        """Look a message up.

        Args:
            digest: The message's digest.

        Returns:
            The serialised `ExchangeRequest`; None when it is not kept.
        """
        return self._kept.get(digest)


@dataclass(slots=True)
class _Missing:
    """An offered message that has not arrived."""

    # When further peers are asked, in seconds.
    due: float
    # Node keys of the peers that offered it and were not asked, and of those that were asked last.
    offerers: list[bytes] = field(default_factory=list)
    asked: list[bytes] = field(default_factory=list)
    # How many peers are asked next.
    num_next: int = 1


class MissingMessages:
    """The messages that peers offered and that have not arrived.

    What a peer offers can push out its own offers alone, and twice as many peers are asked each
    time: so peers that offer what they do not give keep no message from a node for long.
    """

    def __init__(self) -> None:
        # The next one that is due comes first.
        self._missing: OrderedDict[bytes, _Missing] = OrderedDict()
        # By node key: the digests in whose `offerers` or `asked` the peer is, the oldest first.
        self._offered: dict[bytes, dict[bytes, None]] = {}

    def __len__(self) -> int:
        """Return the number of missing messages."""
        return len(self._missing)

    def note_offer(self, digest: bytes, peer: bytes, now: float) -> None:
        """Note that a peer has a message that this node has not handled.

        Args:
            digest: The message's digest.
            peer: The peer's node key, 32 bytes.
            now: The time in seconds, on a clock that never goes back.
        """
        offered = self._offered.setdefault(peer, {})
        if digest in offered:
            return
        if len(offered) == MAX_OFFERS:
            self._withdraw(next(iter(offered)), peer)
            offered = self._offered.setdefault(peer, {})
        offered[digest] = None
        if digest not in self._missing:
            self._missing[digest] = _Missing(now + ASK_AFTER_S)
        self._missing[digest].offerers.append(peer)

    def arrive(self, digest: bytes) -> bool:
        """Note that a message has arrived.

        Args:
            digest: The message's digest.

        Returns:
            Whether a peer was asked for it.
        """
        missing = self._missing.pop(digest, None)
        if missing is None:
            return False
        self._forget(digest, missing.offerers + missing.asked)
        return missing.num_next > 1

    def choose_peers(self, now: float) -> list[tuple[bytes, bytes]]:
        """Choose which peers are asked for each message that is late.

        Args:
            now: The time in seconds, on the same clock as before.

        Returns:
            Pairs of the peer's node key and the message's digest. What no peer is left for is
            forgotten until it is offered again.
        """
        chosen = []
        while self._missing:
            digest, missing = next(iter(self._missing.items()))
            if missing.due > now:
                break
            self._forget(digest, missing.asked)
            missing.asked = missing.offerers[: missing.num_next]
            del missing.offerers[: missing.num_next]
            if not missing.asked:
                del self._missing[digest]
                continue
            chosen += [(peer, digest) for peer in missing.asked]
            missing.num_next *= 2
            missing.due = now + ASK_AFTER_S
            self._missing.move_to_end(digest)
        return chosen

    def _withdraw(self, digest: bytes, peer: bytes) -> None:
        """Forget one offer, and its message if nobody else offers it."""
        missing = self._missing[digest]
        (missing.offerers if peer in missing.offerers else missing.asked).remove(peer)
        if not missing.offerers and not missing.asked:
            del self._missing[digest]
        self._forget(digest, [peer])

    def _forget(self, digest: bytes, peers: list[bytes]) -> None:
        for peer in peers:
            del self._offered[peer][digest]
            if not self._offered[peer]:
                del self._offered[peer]


class SourceRecord:
    """Which connected peers fail to send their own messages in time."""

    def __init__(self) -> None:
        # By node key.
        self._misses: LruDict[bytes, int] = LruDict(MAX_SOURCES)
        self._indirect_until: LruDict[bytes, float] = LruDict(MAX_SOURCES)

    def note(self, signer: bytes, now: float, *, is_direct: bool) -> None:
        """Note how a new message arrived.

        Args:
            signer: The node key of its signer, 32 bytes.
            now: The time in seconds, on a clock that never goes back.
            is_direct: True when the signer sent it, False when another peer had to be asked.
        """
        misses = 0 if is_direct else (self._misses.get(signer) or 0) + 1
        if misses >= MAX_MISSES:
            self._indirect_until.put(signer, now + INDIRECT_S)
        self._misses.put(signer, misses)

    def list_indirect(self, now: float) -> set[bytes]:
        """List the peers whose messages are taken from others.

        Args:
            now: The time in seconds, on the same clock as before.

        Returns:
            Their node keys.
        """
        return {key for key, until in self._indirect_until.items() if until > now}
