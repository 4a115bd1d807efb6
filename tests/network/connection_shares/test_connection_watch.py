"""One host gets its share of a listener's connections, and leaves the rest to others."""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Iterator
from contextlib import ExitStack, suppress

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from fedcoin.network.call_limits import CallLimits
from fedcoin.network.connection_shares import connection_watch
from fedcoin.network.connection_shares.connection_watch import (
    FULL_LOOK_S,
    KEPT_OUT_S,
    ConnectionWatch,
)
from fedcoin.network.connection_shares.own_connections import OwnSockets, find_own_sockets
from fedcoin.network.host_groups import LOOPBACK, HostGroups
from fedcoin.network.listener import Listener
from tests.conftest import ReportAttack
from tests.support.waiting import until

LINUX = pytest.mark.skipif(sys.platform != "linux", reason="sockets have filters on Linux")


class Site:
    """A listening socket of this process, and callers from several addresses of loopback."""

    def __init__(self, stack: ExitStack) -> None:
        self.stack = stack
        self.server = stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=64))
        self.port = self.server.getsockname()[1]
        self.now = 0.0

    def watch(self, share: int, hosts: HostGroups | None = None) -> ConnectionWatch:
        return ConnectionWatch(self.port, share, hosts or HostGroups(()), lambda: self.now)

    def connect(self, source: str) -> socket.socket:
        """Connect, and take the connection as gRPC does; returns the accepted end."""
        caller = self.stack.enter_context(socket.socket())
        caller.bind((source, 0))
        caller.settimeout(0.3)
        caller.connect(("127.0.0.1", self.port))
        return self.stack.enter_context(self.server.accept()[0])


def is_over(accepted: socket.socket) -> bool:
    """Tell whether an accepted connection was shut down."""
    accepted.setblocking(False)
    with suppress(BlockingIOError):
        return accepted.recv(1) == b""
    return False


@pytest.fixture
def site() -> Iterator[Site]:
    with ExitStack() as stack:
        yield Site(stack)


@LINUX
def test_the_latest_connections_beyond_the_share_are_closed(site: Site) -> None:
    watch = site.watch(3)
    first = [site.connect("127.0.0.2") for _ in range(3)]
    others = [site.connect("127.0.0.3") for _ in range(2)]
    watch.look()
    late = [site.connect("127.0.0.2") for _ in range(4)]
    watch.look()
    assert [is_over(one) for one in (*first, *others, *late)] == [False] * 5 + [True] * 4
    assert watch.kept_out == ("127.0.0.2",)
    with pytest.raises(TimeoutError):
        site.connect("127.0.0.2")
    others.append(site.connect("127.0.0.4"))
    for one in late:
        one.close()
    site.now += KEPT_OUT_S
    watch.look()
    assert not watch.kept_out
    assert not is_over(site.connect("127.0.0.2"))


def test_nobody_is_looked_at_while_no_descriptor_is_new(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks: list[int] = []

    def note(port: int) -> OwnSockets:
        looks.append(port)
        return find_own_sockets(port)

    monkeypatch.setattr(connection_watch, "find_own_sockets", note)
    watch = site.watch(1)
    came = [site.connect(f"127.0.0.{host}") for host in range(2, 8)]
    for _ in range(3):
        watch.look()
    assert len(looks) == 1
    came.pop().close()
    watch.look()
    assert len(looks) == 1, "a connection that ended takes nothing"
    came += [site.connect("127.0.0.8") for _ in range(2)]
    watch.look()
    assert len(looks) == 2, "one more than before"
    assert watch.kept_out == ("127.0.0.8",)


@LINUX
def test_a_descriptor_that_went_to_another_host_is_looked_at_in_time(site: Site) -> None:
    watch = site.watch(2)
    greedy = [site.connect("127.0.0.2") for _ in range(2)]
    end_of_caller, other = os.dup(site.server.fileno()), site.connect("127.0.0.3")
    watch.look()
    number = other.fileno()
    os.close(end_of_caller)
    other.close()
    greedy.append(site.connect("127.0.0.2"))
    assert greedy[-1].fileno() == number
    watch.look()
    assert not watch.kept_out
    site.now += FULL_LOOK_S
    watch.look()
    assert [is_over(one) for one in greedy] == [False, False, True]
    assert watch.kept_out == ("127.0.0.2",)


def test_exempt_hosts_have_no_share(site: Site) -> None:
    watch = site.watch(1, HostGroups(LOOPBACK))
    came = [site.connect("127.0.0.2") for _ in range(4)]
    watch.look()
    assert not any(map(is_over, came))
    assert not watch.kept_out


def test_other_descriptors_stay_as_they_are(site: Site) -> None:
    reading, writing = os.pipe()
    left, right = socket.socketpair()
    accepted = site.connect("127.0.0.2")
    found = find_own_sockets(site.port)
    assert found.listening == [site.server.fileno()]
    assert [(one.descriptor, one.host) for one in found.connections] == [
        (accepted.fileno(), "127.0.0.2")
    ]
    os.write(writing, b"x")
    assert os.read(reading, 1) == b"x"
    left.send(b"y")
    assert right.recv(1) == b"y"
    for descriptor in (reading, writing):
        os.close(descriptor)
    left.close()
    right.close()


async def is_serving(address: str) -> bool:
    async with grpc.aio.insecure_channel(address) as channel:
        request = health_pb2.HealthCheckRequest()
        reply = await health_pb2_grpc.HealthStub(channel).Check(
            request, wait_for_ready=True, timeout=20
        )
        return bool(reply.status == health_pb2.HealthCheckResponse.SERVING)


@LINUX
@pytest.mark.attack
async def test_a_host_leaves_connections_to_others(report_attack: ReportAttack) -> None:
    limits = CallLimits(max_connections=16, hosts=HostGroups(()))
    listener = Listener("127.0.0.1:0", [], limits=limits)
    await listener.start()
    await listener.set_serving()
    port = int(listener.address.rpartition(":")[2])
    with ExitStack() as stack:
        for _ in range(64):
            caller = stack.enter_context(socket.socket())
            caller.bind(("127.0.0.2", 0))
            caller.setblocking(False)
            with suppress(BlockingIOError):
                caller.connect(("127.0.0.1", port))
        assert await is_serving(listener.address)
        await until(lambda: len(find_own_sockets(port).connections) <= 5, "most are closed")
    await listener.stop(0)
    report_attack(
        "one host opens more idle connections to the API than it takes in all (256)",
        "all of them for 120 s, and again: others cannot call",
        "a quarter of them; the kernel drops its further ones for 60 s, and others call",
    )
