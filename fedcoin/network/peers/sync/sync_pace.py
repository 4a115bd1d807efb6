"""How fast blocks are fetched, and how long the others take."""

from __future__ import annotations

from collections import deque
from typing import Final

from fedcoin.network.ports.peers_port import SyncProgress

_SAMPLE_S: Final = 0.5
"""The shortest time between two samples, in seconds."""

_MAX_SAMPLES: Final = 60
"""How many samples the rate is taken over: about 30 s."""


class SyncPace:
    """The rate at which the chain has grown lately, from samples of its height."""

    def __init__(self) -> None:
        self._samples: deque[tuple[float, int]] = deque(maxlen=_MAX_SAMPLES)

    def note(self, height: int, now: float) -> None:
        """Take a sample, unless the last one is younger than 0.5 s.

        Args:
            height: The chain's height.
            now: The present time in seconds, on the monotonic clock.
        """
        if not self._samples or now - self._samples[-1][0] >= _SAMPLE_S:
            self._samples.append((now, height))

    def clear(self) -> None:
        """Forget all samples, when nothing is left to fetch."""
        self._samples.clear()

    def estimate(self, height: int, target: int) -> SyncProgress:
        """Estimate when a height is reached.

        Args:
            height: The chain's height.
            target: The height that is fetched up to.

        Returns:
            The target, the rate over the last samples, and the time that the rest takes at it.
        """
        target = max(target, height)
        if len(self._samples) < 2:
            return SyncProgress(target, 0.0, None)
        (began, first), (ended, last) = self._samples[0], self._samples[-1]
        rate = max(0, last - first) / (ended - began)
        return SyncProgress(target, rate, (target - height) / rate if rate else None)
