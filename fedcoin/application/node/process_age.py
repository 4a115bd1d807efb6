"""How long this process has been running."""

from __future__ import annotations

import os
import time
from pathlib import Path

IMPORTED_NS = time.monotonic_ns()
"""Where the system does not tell, the age counts from here."""

START_FIELD = 22
"""starttime in /proc/self/stat, in clock ticks since boot (proc(5))."""


def process_age_ms(stat: Path = Path("/proc/self/stat")) -> int:
    """Milliseconds since the process was started by the system."""
    try:
        # The name in parentheses may hold anything; what follows the last one is regular.
        fields = stat.read_text().rpartition(")")[2].split()
        ticks = int(fields[START_FIELD - 3])
        since_boot = time.clock_gettime(time.CLOCK_BOOTTIME)
    except (OSError, AttributeError, IndexError, ValueError):
        return (time.monotonic_ns() - IMPORTED_NS) // 1_000_000
    return max(0, round((since_boot - ticks / os.sysconf("SC_CLK_TCK")) * 1000))
