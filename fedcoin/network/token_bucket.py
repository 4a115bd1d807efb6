"""Token bucket: a rate limit that allows bursts.

A bucket holds at most `burst` tokens and gains `rate` tokens a second; each action takes one. See
A. S. Tanenbaum and D. J. Wetherall, Computer Networks, 5th edition, section 5.4.2.
"""

from __future__ import annotations


class TokenBucket:
    """A rate limit: actions take tokens from a bucket that is refilled steadily.

    The bucket begins full.
    """

    def __init__(self, rate: float, burst: float, now: float) -> None:
        """Make a full bucket.

        Args:
            rate: The number of tokens that the bucket gains in a second.
            burst: The largest number of tokens that the bucket holds.
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
            True when the tokens were taken. False when the bucket holds fewer; then none is taken.
        """
        self._refill(now)
        if self._tokens < amount:
            return False
        self._tokens -= amount
        return True

    def reserve(self, now: float, amount: float = 1.0) -> float:
        """Take tokens in any case: the bucket may owe some afterwards.

        Args:
            now: The present time in seconds, of the clock that the bucket began with.
            amount: How many tokens to take.

        Returns:
            How long to wait until the bucket owes none, in seconds; 0 when it had enough.
        """
        self._refill(now)
        self._tokens -= amount
        return max(0.0, -self._tokens / self._rate)

    def _refill(self, now: float) -> None:
        gained = max(0.0, now - self._updated) * self._rate
        self._tokens = min(self._burst, self._tokens + gained)
        self._updated = max(self._updated, now)

    def put_back(self, amount: float = 1.0) -> None:
        """Put tokens back that were taken for what was not done.

        Args:
            amount: How many.
        """
        self._tokens = min(self._burst, self._tokens + amount)
