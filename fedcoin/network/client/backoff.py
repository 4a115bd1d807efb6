"""Pauses between attempts: exponential back-off with jitter.

The pause after n failures is `min(first * 2^(n - 1), max)`, times a random factor between 0.5 and
1.5. Without the jitter, callers that lost the same server would all come back at the same moment.
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
        self._failures = 0

    def reset(self) -> None:
        """Begin again with the first pause: call it after an attempt that succeeded."""
        self._failures = 0

    def next_pause(self) -> float:
        """Return the next pause, in seconds, and double the one after it."""
        self._failures += 1
        return pause_after(self._failures, self._first_s, self._max_s, uniform=self._uniform)


def pause_after(
    failures: int,
    first_s: float,
    max_s: float,
    *,
    uniform: Callable[[float, float], float] = random.uniform,
) -> float:
    """Compute the pause after some failures in a row.

    Args:
        failures: How many attempts in a row have failed; 0 counts as 1.
        first_s: The mean of the first pause, in seconds.
        max_s: The mean of the longest pause, in seconds.
        uniform: Gives a random number between its two arguments.

    Returns:
        The pause, in seconds.
    """
    # The exponent is bounded because a float is: 2^1024 would overflow.
    doublings = min(max(failures - 1, 0), 64)
    return min(first_s * 2.0**doublings, max_s) * uniform(0.5, 1.5)
