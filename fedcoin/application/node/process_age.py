"""The age of this process."""

from __future__ import annotations

import os
import time
from pathlib import Path

IMPORTED_NS = time.monotonic_ns()
"""The age counts from here where the operating system does not give the start."""

START_FIELD = 22
"""The number of the field `starttime` in /proc/self/stat, in clock ticks since boot (proc(5))."""


def process_age_ms(stat: Path = Path("/proc/self/stat")) -> int:
    """Compute how long ago the operating system started this process.

    Args:
        stat: The process' stat file (Linux).

    Returns:
        The age in ms.
    """
    try:
        # The name in parentheses may contain anything; the fields follow the last parenthesis.
        fields = stat.read_text().rpartition(")")[2].split()
        ticks = int(fields[START_FIELD - 3])
        since_boot = time.clock_gettime(time.CLOCK_BOOTTIME)
    except (OSError, AttributeError, IndexError, ValueError):
        return (time.monotonic_ns() - IMPORTED_NS) // 1_000_000
    return max(0, round((since_boot - ticks / os.sysconf("SC_CLK_TCK")) * 1000))
