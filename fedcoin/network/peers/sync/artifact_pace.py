"""How often peers are asked for artifacts: less often than they allow, however many are missing.

A peer bans callers that exceed its limits, and whoever pays for a campaign can have all validators
look for artifacts that no node has. A peer that does not answer must not delay artifacts that
others have: at most `_MAX_CALLS` calls to it run at a time, and after one without an answer it is
not asked for a time.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Final

from fedcoin.data.lru import LruDict
from fedcoin.network.peers.protection.limits import LIMITS
from fedcoin.network.token_bucket import TokenBucket

_SHARE: Final = 0.8
"""The part of what a peer allows that is used: its clock and calls under way differ a little."""
_MAX_PEERS: Final = 1_024
_MAX_CALLS: Final = 4
"""How many artifacts are fetched from one peer at once."""
_FIRST_SILENCE_S, _MAX_SILENCE_S = 30.0, 3_600.0
"""How long a peer that did not answer is not asked, and a peer that was late is asked last, in
seconds: the first time, and at most."""


class ArtifactPace:
    """Counts the calls to each peer.

    Args:
        now: Gives the time in seconds and never goes back.
    """

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        # By the peers' keys, so that a new connection does not begin anew.
        self._manifests: LruDict[bytes, TokenBucket] = LruDict(_MAX_PEERS)
        self._downloads: LruDict[bytes, TokenBucket] = LruDict(_MAX_PEERS)
        self._running: Counter[bytes] = Counter()
        # Until when a peer is left out, and for how long it was.
        self._silences: LruDict[bytes, tuple[float, float]] = LruDict(_MAX_PEERS)
        # Until when a peer is asked after the others, and for how long it was.
        self._lateness: LruDict[bytes, tuple[float, float]] = LruDict(_MAX_PEERS)

    def begin(self, peer: bytes) -> bool:
        """Count a call for a manifest and one for its chunks, unless it is too early for them.

        Args:
            peer: The peer's key, 32 bytes.

        Returns:
            True when the peer may be asked now; `end` is called afterwards.
        """
        until, _ = self._silences.get(peer) or (0.0, 0.0)
        if self._now() < until or self._running[peer] >= _MAX_CALLS or not self._take(peer):
            return False
        self._running[peer] += 1
        return True

    def end(self, peer: bytes) -> None:
        """Note that a call which `begin` has counted is over.

        Args:
            peer: The peer's key, 32 bytes.
        """
        self._running[peer] -= 1
        if not self._running[peer]:
            del self._running[peer]

    def note_silence(self, peer: bytes) -> None:
        """Do not ask a peer that did not answer in time, each time for twice as long.

        Args:
            peer: The peer's key, 32 bytes.
        """
        self._extend(self._silences, peer)

    def note_late(self, peer: bytes) -> None:
        """Have a peer that was late asked after all others, each time for twice as long.

        Args:
            peer: The peer's key, 32 bytes.
        """
        self._extend(self._lateness, peer)

    def is_late(self, peer: bytes) -> bool:
        """Tell whether a peer is to be asked after all others.

        Args:
            peer: The peer's key, 32 bytes.

        Returns:
            True for a time after it was late.
        """
        until, _ = self._lateness.get(peer) or (0.0, 0.0)
        return self._now() < until

    def note_sent(self, peer: bytes) -> None:
        """Note that a peer has sent an artifact.

        Args:
            peer: The peer's key, 32 bytes.
        """
        self._silences.discard(peer)
        self._lateness.discard(peer)

    def _extend(self, pauses: LruDict[bytes, tuple[float, float]], peer: bytes) -> None:
        now = self._now()
        until, before = pauses.get(peer) or (0.0, 0.0)
        if now >= until:
            pause = min(max(2 * before, _FIRST_SILENCE_S), _MAX_SILENCE_S)
            pauses.put(peer, (now + pause, pause))

    def _take(self, peer: bytes) -> bool:
        downloads = self._bucket(self._downloads, peer, "ArtifactService/Download")
        if not downloads.take(self._now()):
            return False
        if self._bucket(self._manifests, peer, "ArtifactService/GetManifest").take(self._now()):
            return True
        downloads.put_back()
        return False

    def note_refused(self, peer: bytes) -> None:
        """Note that a peer had no manifest, so that it was not asked for chunks.

        Args:
            peer: The peer's key, 32 bytes.
        """
        self._bucket(self._downloads, peer, "ArtifactService/Download").put_back()

    def _bucket(self, buckets: LruDict[bytes, TokenBucket], peer: bytes, kind: str) -> TokenBucket:
        limit = LIMITS[kind]

        def make() -> TokenBucket:
            return TokenBucket(limit.rate * _SHARE, limit.burst * _SHARE, self._now())

        return buckets.get_or_create(peer, make)
