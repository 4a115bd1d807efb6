"""Find TCP ports that no process listens on."""

from __future__ import annotations

import random
import socket

from fedcoin.application.errors import ApplicationCode
from fedcoin.data.errors import RefusalError

FIRST_PORT, LAST_PORT = 20_000, 32_000
"""The ports that are searched. They are below the range from which operating systems give ports to
outgoing connections, so that none takes a port between this search and the node's start."""

MAX_TRIES = 2_000
"""The number of ports that are tried before the search fails."""


def find_free_ports(count: int) -> list[int]:
    """Find ports of 127.0.0.1 that can be bound at this moment.

    Args:
        count: How many ports are needed.

    Returns:
        Different port numbers, in random order.

    Raises:
        RefusalError: PORT_IN_USE when fewer ports are free.
    """
    found: list[int] = []
    # The order is random, so that two devnets that start at once try different ports.
    for port in random.SystemRandom().sample(range(FIRST_PORT, LAST_PORT), MAX_TRIES):
        if len(found) == count:
            break
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        found.append(port)
    if len(found) < count:
        raise RefusalError(
            ApplicationCode.PORT_IN_USE,
            f"only {len(found)} ports of {FIRST_PORT} to {LAST_PORT} are free, but {count} are "
            "needed: stop other programs that listen there",
            field="ports",
        )
    return found
