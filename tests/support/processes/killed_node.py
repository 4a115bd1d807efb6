"""`fedcoin-node`, which ends at once at a point of a write, as a kill or a power cut would end it.

    python -m tests.support.processes.killed_node POINT SUBJECT HITS start --home DIR

ends at the HITS-th time that the point is reached with a subject that fits the pattern SUBJECT.
"""

from __future__ import annotations

import fnmatch
import os
import signal
import sys
from threading import Lock

from fedcoin.application.cli.entry import run
from fedcoin.data.failpoints import Failpoint, watch

KILLED = -signal.SIGKILL
"""The exit code of a process that ended at its point, as `subprocess` shows it."""


def main() -> int:
    point, pattern, hits = Failpoint(sys.argv[1]), sys.argv[2], int(sys.argv[3])
    lock, left = Lock(), [hits]

    def kill(reached: Failpoint, subject: str) -> None:
        if reached is point and fnmatch.fnmatch(subject, pattern):
            with lock:
                left[0] -= 1
                if not left[0]:
                    os.kill(os.getpid(), signal.SIGKILL)

    watch(kill)
    sys.argv[1:] = sys.argv[4:]
    return run()


if __name__ == "__main__":
    sys.exit(main())
