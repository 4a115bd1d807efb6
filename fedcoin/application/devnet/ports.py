"""Ports that nobody listens on."""

from __future__ import annotations

import random
import socket

from fedcoin.application.errors import ApplicationCode
from fedcoin.data.errors import RefusalError

FIRST, LAST = 20_000, 32_000
"""Below the range from which systems give ports to outgoing connections, so that between our
look and the node's start no connection takes one."""

TRIES = 2_000


def free_ports(count: int) -> list[int]:
    """Different ports of 127.0.0.1 that were free just now. Raises Refusal PORT_IN_USE."""
    chosen: list[int] = []
    # Where to begin is random, so that two devnets started at once do not meet.
    for port in random.SystemRandom().sample(range(FIRST, LAST), TRIES):
        if len(chosen) == count:
            break
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        chosen.append(port)
    if len(chosen) < count:
        raise RefusalError(
            ApplicationCode.PORT_IN_USE,
            f"found only {len(chosen)} of {count} free ports from {FIRST} to {LAST}",
            field="ports",
        )
    return chosen
