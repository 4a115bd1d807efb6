"""How fast each peer sends the blocks that it is asked for, and which peers are too slow to ask."""

from __future__ import annotations

from collections.abc import Sequence

TRIAL_S = 1.0
"""How long a peer is waited for before its rate counts, in seconds; less after `TRIAL_BLOCKS`."""

TRIAL_BLOCKS = 64
"""After this many blocks a peer's rate counts, however fast they came."""

MAX_LAG = 10.0
"""A peer that is slower than the fastest one by this factor is not asked for ranges of its own."""

MEMORY_S = 4.0
"""What counts in a rate is about the last time of this length for which a peer was waited for, in
seconds: one that sent many blocks at once and then hardly any is not fast for long."""


class SourcePace:
    """The rate of one peer: its blocks in the time for which it was waited for.

    Time in which this node had nothing to ask, or no room for more blocks, does not count.
    """

    def __init__(self) -> None:
        self.is_benched = False
        """Whether it is only asked where another peer sends nothing at all."""
        self._num_blocks = 0.0
        self._waited_s = 0.0
        self._since: float | None = None

    def begin(self, now: float) -> None:
        """Note that blocks are waited for from now on.

        Args:
            now: The present time in seconds, on the monotonic clock.
        """
        self._since = now

    def end(self, now: float, num_blocks: int = 0) -> None:
        """Note that the wait is over.

        Args:
            now: The present time in seconds, on the monotonic clock.
            num_blocks: How many blocks came.
        """
        self._waited_s = self._count_waited(now)
        self._since = None
        self._num_blocks += num_blocks
        if self._waited_s > MEMORY_S:
            self._num_blocks *= MEMORY_S / self._waited_s
            self._waited_s = MEMORY_S

    def rate(self, now: float) -> float | None:
        """Compute the peer's rate.

        Args:
            now: The present time in seconds, on the monotonic clock.

        Returns:
            Blocks in a second; None while the peer was not tried for long enough.
        """
        waited = self._count_waited(now)
        if waited < TRIAL_S and self._num_blocks < TRIAL_BLOCKS:
            return None
        return self._num_blocks / max(waited, 1e-3)

    def _count_waited(self, now: float) -> float:
        return self._waited_s + (0.0 if self._since is None else now - self._since)


def bench_slow(paces: Sequence[SourcePace], max_active: int, now: float) -> None:
    """Bench the peers that are too slow, and bring back benched ones that are fast enough now.

    A peer is benched when it is `MAX_LAG` times slower than the fastest one. The slowest one is
    benched, too, when all were tried and more than `max_active` are not benched, so that a faster
    newcomer takes its place. A benched peer is asked again as soon as no peer is that much faster
    and fewer than `max_active` are not benched. So no peer becomes the only source because it was
    fast at first.

    Args:
        paces: The paces of the peers that blocks are fetched from; some are benched or brought
            back.
        max_active: The largest number of peers that are not benched.
        now: The present time in seconds, on the monotonic clock.
    """
    active = [pace for pace in paces if not pace.is_benched]
    resting = _ranked([pace for pace in paces if pace.is_benched], now)
    tried = _ranked(active, now)
    best = tried[0][0] if tried else 0.0
    for rate, pace in tried:
        pace.is_benched = rate * MAX_LAG < best
    if len(active) > max_active and len(tried) == len(active):
        tried[-1][1].is_benched = True
    room = max_active - sum(not pace.is_benched for pace in active)
    for rate, pace in resting[: max(0, room)]:
        pace.is_benched = rate * MAX_LAG < best


def _ranked(paces: Sequence[SourcePace], now: float) -> list[tuple[float, SourcePace]]:
    """Return the paces of peers that were tried, with their rates, the fastest first."""
    rates = [(pace.rate(now), pace) for pace in paces]
    tried = [(rate, pace) for rate, pace in rates if rate is not None]
    return sorted(tried, key=lambda each: each[0], reverse=True)
