"""TCP ports that belong to one test, whichever tests run beside it."""

from __future__ import annotations

import fcntl
import os
import random
import socket
import tempfile
from pathlib import Path
from typing import TextIO

FIRST, LAST = 10_000, 20_000
"""Apart from the ports that a devnet takes (20,000 and up) and from those that the operating
system gives to outgoing connections and to listeners on port 0."""

_locks: list[TextIO] = []
"""Open lock files: they are released when this process ends."""


def reserve_ports(count: int) -> list[int]:
    """Reserve ports of 127.0.0.1 until this process ends.

    A file lock for each port keeps other test processes (pytest-xdist's workers, another run of
    the suite) from choosing it, so the port is still free when the node under test binds it.
    """
    folder = Path(tempfile.gettempdir()) / f"fedcoin-test-ports-{os.getuid()}"
    folder.mkdir(exist_ok=True)
    reserved: list[int] = []
    for port in random.SystemRandom().sample(range(FIRST, LAST), LAST - FIRST):
        if len(reserved) == count:
            break
        if _lock(folder / str(port)) and _is_free(port):
            reserved.append(port)
    assert len(reserved) == count, f"only {len(reserved)} of {count} ports are free"
    return reserved


def reserve_addresses(count: int) -> list[str]:
    """Reserve ports, and return them as `127.0.0.1:port`."""
    return [f"127.0.0.1:{port}" for port in reserve_ports(count)]


def _lock(path: Path) -> bool:
    lock = path.open("w")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        lock.close()
        return False
    _locks.append(lock)
    return True


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
