"""The wall clock: how every layer asks for the time of day.

Code that needs the time takes a `Clock` as a parameter, so that tests can hand in one of their
own. Durations are measured with `time.monotonic` or `steady_ms` instead, which never jump.
"""

from __future__ import annotations

import time
from collections.abc import Callable

Clock = Callable[[], int]
"""A function that returns the Unix time in ms. `unix_ms` is the computer's own clock."""


def unix_ms() -> int:
    """Read the computer's wall clock.

    Returns:
        The Unix time in ms. It can jump, in both directions, when the clock is set.
    """
    return time.time_ns() // 1_000_000


def steady_ms() -> int:
    """Read a clock that no change of the wall clock moves.

    Returns:
        The time since some moment of the past, in ms.
    """
    return time.monotonic_ns() // 1_000_000
