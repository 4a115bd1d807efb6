"""Timed bans of node keys."""

from __future__ import annotations

from collections.abc import Mapping

MAX_BANS = 1000
"""The number of bans that are kept; one more replaces the ban that ends first."""


class Bans:
    """The bans of this node. Times are Unix seconds, since bans outlive the process.

    Args:
        until: The end of each ban by node key, as read from disk.
    """

    def __init__(self, until: Mapping[bytes, float] | None = None) -> None:
        self._until = dict(until or {})

    def add(self, node_key: bytes, now: float, seconds: float) -> None:
        """Ban a key. An existing ban that lasts longer is kept.

        Args:
            node_key: The 32-byte node key.
            now: The present time in Unix seconds.
            seconds: How long the ban lasts.
        """
        self.expire(now)
        self._until[node_key] = max(self._until.get(node_key, 0.0), now + seconds)
        if len(self._until) > MAX_BANS:
            del self._until[min(self._until, key=lambda key: self._until[key])]

    def until(self, node_key: bytes, now: float) -> float | None:
        """Find the end of a key's ban.

        Args:
            node_key: The 32-byte node key.
            now: The present time in Unix seconds.

        Returns:
            The end in Unix seconds; None when the key is not banned.
        """
        end = self._until.get(node_key)
        return end if end is not None and end > now else None

    def expire(self, now: float) -> None:
        """Forget the bans that have ended.

        Args:
            now: The present time in Unix seconds.
        """
        self._until = {key: end for key, end in self._until.items() if end > now}

    def active(self, now: float) -> dict[bytes, float]:
        """List the bans that have not ended.

        Args:
            now: The present time in Unix seconds.

        Returns:
            The end of each ban in Unix seconds, by node key.
        """
        self.expire(now)
        return dict(self._until)
