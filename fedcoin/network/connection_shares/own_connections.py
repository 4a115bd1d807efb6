"""The connections of a listener, found among the file descriptors of this process.

Descriptors are never duplicated: closing a duplicate of a file would release the locks that SQLite
holds on it.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final

DESCRIPTORS: Final = "/dev/fd"
"""The folder that lists this process's file descriptors, on Linux and macOS."""

_TCP_FAMILIES: Final = (socket.AF_INET, socket.AF_INET6)


@dataclass(frozen=True, slots=True)
class Connection:
    """One accepted connection."""

    descriptor: int
    """Its file descriptor, which another thread may close at any time."""
    host: str
    """The caller's IP address."""
    port: int
    """The caller's port."""


@dataclass(slots=True)
class OwnSockets:
    """The sockets of one listening port."""

    listening: list[int] = field(default_factory=list)
    """File descriptors of the listening sockets."""
    connections: list[Connection] = field(default_factory=list)
    """What was accepted."""


def list_descriptors() -> frozenset[str]:
    """List the file descriptors of this process; none where the system does not list them."""
    try:
        return frozenset(os.listdir(DESCRIPTORS))
    except OSError:
        return frozenset()


def find_own_sockets(port: int) -> OwnSockets:
    """Find the sockets of this process whose own TCP port is a listener's.

    Args:
        port: The listener's port.

    Returns:
        Its listening sockets and its connections, as far as they are not closed meanwhile.
    """
    found = OwnSockets()
    for name in os.listdir(DESCRIPTORS):
        with_socket(int(name), lambda one: _add(found, one, port))
    return found


def shut_down(connection: Connection) -> None:
    """End a connection in both directions; whoever owns its descriptor then closes it.

    Args:
        connection: What `find_own_sockets` returned.
    """

    def end(one: socket.socket) -> None:
        # The descriptor may be another socket's by now.
        if one.getpeername()[:2] == (connection.host, connection.port):
            one.shutdown(socket.SHUT_RDWR)

    with_socket(connection.descriptor, end)


def with_socket(descriptor: int, use: Callable[[socket.socket], None]) -> None:
    """Use a descriptor as a socket, and leave it open.

    Args:
        descriptor: A file descriptor of this process; nothing happens unless it is a socket's.
        use: Called with the socket; an `OSError` that it raises is ignored.
    """
    with suppress(OSError):
        one = socket.socket(fileno=descriptor)
        try:
            use(one)
        finally:
            one.detach()


def _add(found: OwnSockets, one: socket.socket, port: int) -> None:
    if one.family not in _TCP_FAMILIES or one.getsockname()[1] != port:
        return
    try:
        host, peer_port = one.getpeername()[:2]
    except OSError:
        found.listening.append(one.fileno())
        return
    found.connections.append(Connection(one.fileno(), host, peer_port))
