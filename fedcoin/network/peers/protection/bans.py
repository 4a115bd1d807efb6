"""Node keys that are refused for a time."""

from __future__ import annotations

from collections.abc import Mapping

MAX_BANS = 1000
"""A further ban takes the place of the one that ends first."""


class Bans:
    """Timed bans. All times are Unix seconds, since bans outlive the process."""

    def __init__(self, until: Mapping[bytes, float] | None = None) -> None:
        self._until = dict(until or {})

    def add(self, node_key: bytes, now: float, seconds: float) -> None:
        """Ban a key; a longer ban that it has already stays."""
        self.expire(now)
        self._until[node_key] = max(self._until.get(node_key, 0.0), now + seconds)
        if len(self._until) > MAX_BANS:
            del self._until[min(self._until, key=lambda key: self._until[key])]

    def until(self, node_key: bytes, now: float) -> float | None:
        """When the key's ban ends; None when there is none."""
        end = self._until.get(node_key)
        return end if end is not None and end > now else None

    def expire(self, now: float) -> None:
        """Forget the bans that are over."""
        self._until = {key: end for key, end in self._until.items() if end > now}

    def active(self, now: float) -> dict[bytes, float]:
        """Key to end, for all that last."""
        self.expire(now)
        return dict(self._until)
