"""Token bucket: a rate limit that allows bursts.

A bucket holds at most `burst` tokens and gains `rate` tokens a second; each action takes one. See
A. S. Tanenbaum and D. J. Wetherall, Computer Networks, 5th edition, section 5.4.2.
"""

from __future__ import annotations


class TokenBucket:
    """A bucket that begins full."""

    def __init__(self, rate: float, burst: float, now: float) -> None:
        """Fill a bucket.

        Args:
            rate: Tokens gained a second.
            burst: How many tokens the bucket holds.
            now: The present time in seconds, of any clock that does not go back.
        """
        self._rate = rate
        self._burst = float(burst)
        self._tokens = float(burst)
        self._updated = now

    def take(self, now: float, amount: float = 1.0) -> bool:
        """Take tokens, if there are enough.

        Args:
            now: The present time in seconds, of the clock that the bucket began with.
            amount: How many tokens to take.

        Returns:
            True when they were taken; False when there were fewer, and then none is taken.
        """
        gained = max(0.0, now - self._updated) * self._rate
        self._tokens = min(self._burst, self._tokens + gained)
        self._updated = max(self._updated, now)
        if self._tokens < amount:
            return False
        self._tokens -= amount
        return True
