"""Pauses between attempts: exponential back-off with jitter.

The n-th pause is `min(first * 2^n, max)`, times a random factor between 0.5 and 1.5. Without the
jitter, callers that lost the same server would all come back at the same moment.
"""

from __future__ import annotations

import random
from collections.abc import Callable


class Backoff:
    """The pauses of one series of attempts."""

    def __init__(
        self,
        first_s: float,
        max_s: float,
        *,
        uniform: Callable[[float, float], float] = random.uniform,
    ) -> None:
        """Begin a series.

        Args:
            first_s: The mean of the first pause, in seconds.
            max_s: The mean of the longest pause, in seconds.
            uniform: Gives a random number between its two arguments.
        """
        self._first_s = first_s
        self._max_s = max_s
        self._uniform = uniform
        self._mean_s = first_s

    def reset(self) -> None:
        """Begin again with the first pause: call it after an attempt that succeeded."""
        self._mean_s = self._first_s

    def next_pause(self) -> float:
        """Return the next pause, in seconds, and double the one after it."""
        pause = self._mean_s * self._uniform(0.5, 1.5)
        self._mean_s = min(2 * self._mean_s, self._max_s)
        return pause
