"""TCP ports that belong to one test, whichever tests run beside it."""

from __future__ import annotations

import fcntl
import os
import random
import socket
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
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
    the suite) from choosing it, so the port is still free when the node under test binds it, and
    nobody else answers there after that node has stopped.
    """
    reserved = [_reserve() for _ in range(count)]
    _locks.extend(lock for _, lock in reserved)
    return [port for port, _ in reserved]


def reserve_addresses(count: int) -> list[str]:
    """Reserve ports, and return them as `127.0.0.1:port`."""
    return [f"127.0.0.1:{port}" for port in reserve_ports(count)]


@contextmanager
def reserved_address() -> Iterator[str]:
    """Reserve one port, as `127.0.0.1:port`, until the block ends."""
    port, lock = _reserve()
    with lock:
        yield f"127.0.0.1:{port}"


def _reserve() -> tuple[int, TextIO]:
    folder = Path(tempfile.gettempdir()) / f"fedcoin-test-ports-{os.getuid()}"
    folder.mkdir(exist_ok=True)
    draw = random.SystemRandom()
    for _ in range(LAST - FIRST):
        port = draw.randrange(FIRST, LAST)
        lock = (folder / str(port)).open("w")
        if _try_lock(lock) and _is_free(port):
            return port, lock
        lock.close()
    raise AssertionError(f"no port from {FIRST} to {LAST} is free")


def _try_lock(lock: TextIO) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
