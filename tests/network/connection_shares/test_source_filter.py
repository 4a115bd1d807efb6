"""A filter at a listening socket: the kernel runs it on real connections."""

from __future__ import annotations

import socket
import struct
import sys
from collections.abc import Iterator
from contextlib import closing, suppress

import pytest

from fedcoin.network.connection_shares.source_filter import (
    MAX_PASSING,
    MAX_SOURCES,
    build_filter,
    keep_out,
)

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="sockets have filters on Linux")


@pytest.fixture
def listening() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0), backlog=16) as server:
        yield server


def can_connect(server: socket.socket, source: str) -> bool:
    """Tell whether a connection is made within a fifth of a second, long after a usual one is."""
    with closing(socket.socket(server.family)) as caller, suppress(TimeoutError):
        caller.bind((source, 0))
        caller.settimeout(0.2)
        caller.connect(server.getsockname()[:2])
        return True
    return False


def test_some_sources_are_kept_out(listening: socket.socket) -> None:
    assert keep_out([listening.fileno()], ["127.0.0.2", "2001:db8::/64", "127.0.0.4"])
    came = {last: can_connect(listening, f"127.0.0.{last}") for last in (1, 2, 3, 4)}
    assert came == {1: True, 2: False, 3: True, 4: False}
    assert keep_out([listening.fileno()], ["127.0.0.3"])  # in place of the others
    assert can_connect(listening, "127.0.0.2")
    assert not can_connect(listening, "127.0.0.3")
    assert keep_out([listening.fileno()], [])
    assert can_connect(listening, "127.0.0.3")


@pytest.mark.skipif(not socket.has_dualstack_ipv6(), reason="the machine has no IPv6")
def test_both_families_at_one_socket() -> None:
    server = socket.create_server(("::", 0), family=socket.AF_INET6, dualstack_ipv6=True)
    with closing(server):
        keep_out([server.fileno()], ["127.0.0.2"])
        with closing(socket.socket()) as caller:
            caller.settimeout(0.2)
            caller.bind(("127.0.0.2", 0))
            with pytest.raises(TimeoutError):
                caller.connect(("127.0.0.1", server.getsockname()[1]))
        assert can_connect(server, "::1")
        keep_out([server.fileno()], ["127.0.0.2", "2001:db8::/64", "::/64"])
        assert not can_connect(server, "::1")
        keep_out([server.fileno()], ["127.0.0.2", "::/64"], ["::1", "2001:db8::1"])
        assert can_connect(server, "::1")
        keep_out([server.fileno()], ["::2"])
        assert can_connect(server, "::1")
        keep_out([server.fileno()], ["::2", "::1"])
        assert not can_connect(server, "::1")


def test_the_kernel_takes_the_longest_filter(listening: socket.socket) -> None:
    sources = [f"2001:db8:0:{number:x}::/64" for number in range(MAX_SOURCES)]
    assert len(build_filter(sources)) // 8 == 5 * MAX_SOURCES + 7
    assert struct.calcsize("HBBI") == 8
    passing = [f"2001:db8::{number:x}" for number in range(MAX_PASSING)]
    assert len(build_filter(sources, passing)) < 20 * 1024
    for number in range(4):  # in place of one another
        assert keep_out([listening.fileno()], sources[number:], passing)
    assert can_connect(listening, "127.0.0.1")


def test_what_is_no_socket_has_no_filter() -> None:
    with open("/dev/null", "rb") as file:
        assert not keep_out([file.fileno()], ["127.0.0.2"])
        assert file.read() == b""  # it is still open
