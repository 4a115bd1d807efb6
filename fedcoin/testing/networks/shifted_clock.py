"""`fedcoin-node` with a wall clock that jumps when a test says so.

    python -m fedcoin.testing.networks.shifted_clock FILE start --home DIR

FILE holds the number of ms by which the clock is ahead, and may change at any time; the clock is
right while there is no such file. Durations are not affected, as on a machine whose clock is set.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from pathlib import Path

from fedcoin.application.cli.entry import main

_POLL_SECONDS = 0.05


def shift_clock(path: Path) -> None:
    """Have this process's wall clock follow a file, from now on.

    Args:
        path: Holds an offset in ms.
    """
    real_ns = time.time_ns
    ahead_ns = [read_offset_ms(path) * 1_000_000]

    def follow() -> None:
        while True:
            time.sleep(_POLL_SECONDS)
            ahead_ns[0] = read_offset_ms(path) * 1_000_000

    time.time_ns = lambda: real_ns() + ahead_ns[0]
    time.time = lambda: time.time_ns() / 1e9
    threading.Thread(target=follow, daemon=True).start()


def write_offset_ms(path: Path, offset_ms: int) -> None:
    """Set the clock of a process that follows a file.

    Args:
        path: The file.
        offset_ms: How far ahead the clock shall be, in ms; may be negative.
    """
    draft = path.with_suffix(".draft")
    draft.write_text(f"{offset_ms}\n", encoding="ascii")
    os.replace(draft, path)


def read_offset_ms(path: Path) -> int:
    """Read how far ahead a clock shall be.

    Args:
        path: The file.

    Returns:
        The offset in ms; 0 where there is no file.
    """
    try:
        return int(path.read_text(encoding="ascii"))
    except FileNotFoundError:
        return 0


if __name__ == "__main__":
    shift_clock(Path(sys.argv.pop(1)))
    main()
