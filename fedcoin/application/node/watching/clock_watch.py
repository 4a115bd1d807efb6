"""Watch whether this node's clock differs from its peers' clocks.

A validator with a wrong clock votes against the blocks of others, and they against its own. Peers
tell their time with each ping. The median of what they say is only a hint: nobody verifies it, and
it changes nothing but the log and the status.
"""

from __future__ import annotations

import asyncio
import logging
import statistics
from collections.abc import Callable, Iterable
from typing import Final

from fedcoin.data.clock import Clock
from fedcoin.network.ports.peers_port import PeerInfo

log = logging.getLogger(__name__)

CHECK_SECONDS: Final = 5.0
"""Time between two comparisons, in seconds."""

REPEAT_MS: Final = 600_000
"""Time between two warnings while the clocks differ, in ms."""


def median_difference_ms(peers: Iterable[PeerInfo]) -> int | None:
    """Compute how far the peers' clocks are ahead of this node's.

    Args:
        peers: The connected peers.

    Returns:
        The median over the peers that have told their time, in ms, negative when this node's clock
        is ahead; None when no peer has.
    """
    known = [peer.clock_difference_ms for peer in peers if peer.clock_difference_ms is not None]
    return round(statistics.median(known)) if known else None


class ClockLog:
    """Logs that the clocks differ: when they begin to, at intervals, and when they agree again.

    Args:
        limit_ms: The largest difference that needs no warning, in ms.
    """

    def __init__(self, limit_ms: int) -> None:
        self._limit_ms = limit_ms
        self._warned_ms: int | None = None

    def observe(self, difference_ms: int | None, now_ms: int) -> None:
        """Log a difference if it is too large, and its end.

        Args:
            difference_ms: How far the peers' clocks are ahead, in ms; None when not known.
            now_ms: Any clock that the changes of the wall clock do not move, in ms.
        """
        if difference_ms is None or abs(difference_ms) <= self._limit_ms:
            if self._warned_ms is not None and difference_ms is not None:
                log.info("this node's clock agrees with its peers' again")
                self._warned_ms = None
            return
        if self._warned_ms is None or now_ms - self._warned_ms >= REPEAT_MS:
            self._warned_ms = now_ms
            log.warning(
                "this node's clock is %.1f s %s the median of its peers' clocks: set it (by NTP, "
                "say), because validators whose clocks differ vote against each other's blocks",
                abs(difference_ms) / 1000,
                "behind" if difference_ms > 0 else "ahead of",
            )


async def watch_clocks(
    difference_ms: Callable[[], int | None], limit_ms: int, steady_ms: Clock
) -> None:
    """Log when the clocks differ too much; runs until it is cancelled.

    Args:
        difference_ms: Returns how far the peers' clocks are ahead, in ms; None when not known.
        limit_ms: The largest difference that needs no warning, in ms.
        steady_ms: A clock in ms that the changes of the wall clock do not move.
    """
    clock_log = ClockLog(limit_ms)
    while True:
        await asyncio.sleep(CHECK_SECONDS)
        clock_log.observe(difference_ms(), steady_ms())
