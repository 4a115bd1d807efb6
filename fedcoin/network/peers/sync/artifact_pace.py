"""How often peers are asked for artifacts: less often than they allow, however many are missing.

A peer bans who calls more often than its limits allow. Anybody who can pay for a campaign can have
all validators look for artifacts that nobody has.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from fedcoin.data.lru import LruDict
from fedcoin.network.peers.protection.limits import LIMITS
from fedcoin.network.token_bucket import TokenBucket

_SHARE: Final = 0.8
"""The part of what a peer allows that is used: its clock and calls under way differ a little."""
_MAX_PEERS: Final = 1_024


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

    def may_ask(self, peer: bytes) -> bool:
        """Count a call for a manifest and one for its chunks, unless it is too early for them.

        Args:
            peer: The peer's key, 32 bytes.

        Returns:
            True when the peer may be asked now.
        """
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
