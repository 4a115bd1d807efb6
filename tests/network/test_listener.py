"""A listener binds its address, reports its health, and leaves nothing behind."""

from __future__ import annotations

import asyncio
import stat
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from fedcoin.data.errors import RefusalError
from fedcoin.network.call_limits import CallLimits
from fedcoin.network.errors import NetworkCode
from fedcoin.network.listener import Listener, Service
from fedcoin.v1 import artifact_service_pb2_grpc as rpc
from tests.conftest import ReportAttack
from tests.support.probe_service import SERVICE, Probe

SERVING = health_pb2.HealthCheckResponse.SERVING
NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING
UNKNOWN = health_pb2.HealthCheckResponse.SERVICE_UNKNOWN


def made(
    address: str = "127.0.0.1:0", limits: CallLimits | None = None, setting: str = "listen"
) -> Listener:
    def add(server: grpc.aio.Server) -> None:
        rpc.add_ArtifactServiceServicer_to_server(Probe(), server)

    return Listener(address, [Service(SERVICE, add)], limits=limits, setting=setting)


@pytest.fixture
async def listener() -> AsyncIterator[Listener]:
    listener = made()
    await listener.start()
    yield listener
    await listener.stop(0)


async def health_of(channel: grpc.aio.Channel, service: str) -> int:
    request = health_pb2.HealthCheckRequest(service=service)
    reply = await health_pb2_grpc.HealthStub(channel).Check(request)
    return int(reply.status)


async def test_health_is_not_serving_until_the_owner_says_so(listener: Listener) -> None:
    async with grpc.aio.insecure_channel(listener.address) as channel:
        assert await health_of(channel, "") == NOT_SERVING
        assert await health_of(channel, SERVICE) == NOT_SERVING
        await listener.set_serving()
        assert await health_of(channel, "") == SERVING
        assert await health_of(channel, SERVICE) == SERVING
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await health_of(channel, "fedcoin.v1.Nothing")
        assert caught.value.code() is grpc.StatusCode.NOT_FOUND


async def test_health_watchers_learn_of_the_stop(listener: Listener) -> None:
    async with grpc.aio.insecure_channel(listener.address) as channel:
        watch = health_pb2_grpc.HealthStub(channel).Watch(health_pb2.HealthCheckRequest())
        assert (await watch.read()).status == NOT_SERVING
        await listener.set_serving()
        assert (await watch.read()).status == SERVING
        await listener.stop(1)
        assert (await watch.read()).status == NOT_SERVING


async def test_a_taken_port_is_refused(listener: Listener) -> None:
    second = made(listener.address, setting="api.listen")
    with pytest.raises(RefusalError, match=listener.address) as caught:
        await second.start()
    refusal = caught.value
    assert (refusal.code, refusal.field) == (NetworkCode.PORT_IN_USE, "api.listen")
    # The system's reason, which gRPC does not tell, and the setting that is to be changed.
    assert "(Address already in use)" in refusal.message
    assert refusal.message.endswith("or set api.listen to another address")
    await second.stop(0)


@pytest.mark.parametrize("address", ["", "7051", ":7051", "localhost:", "localhost:x", "h:99999"])
async def test_a_malformed_address_is_refused(address: str) -> None:
    listener = made(address)
    with pytest.raises(RefusalError) as caught:
        await listener.start()
    assert caught.value.code is NetworkCode.BAD_HOST
    assert caught.value.field == "listen"
    await listener.stop(0)


async def test_a_socket_is_the_owners_alone_and_goes_with_the_listener(tmp_path: Path) -> None:
    path = tmp_path / "admin.sock"
    listener = made(f"unix:{path}")
    await listener.start()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    async with grpc.aio.insecure_channel(listener.address) as channel:
        assert await health_of(channel, "") == NOT_SERVING
    await listener.stop(0)
    assert not path.exists()


async def test_a_socket_left_by_a_killed_node_is_taken_over(tmp_path: Path) -> None:
    path = tmp_path / "admin.sock"
    first, second = made(f"unix:{path}"), made(f"unix:{path}")
    await first.start()
    await second.start()
    async with grpc.aio.insecure_channel(second.address) as channel:
        await second.set_serving()
        assert await health_of(channel, "") == SERVING
    await second.stop(0)
    await first.stop(0)


async def test_a_socket_path_that_the_system_cannot_hold(tmp_path: Path) -> None:
    listener = made(f"unix:{tmp_path}/{'x' * 120}.sock")
    with pytest.raises(RefusalError, match="shorter home") as caught:
        await listener.start()
    assert caught.value.code is NetworkCode.BAD_PATH
    await listener.stop(0)


async def is_closed(reader: asyncio.StreamReader) -> bool:
    """Tell whether the other side closed a connection, which says nothing for a moment."""
    try:
        return not await asyncio.wait_for(reader.read(), 0.2)
    except asyncio.TimeoutError:
        return False


@pytest.mark.attack
async def test_idle_connections_take_no_room_of_others(report_attack: ReportAttack) -> None:
    crowded, other = made(limits=CallLimits(max_connections=16)), made()
    async with AsyncExitStack() as stack:
        for listener in (crowded, other):
            await listener.start()
            stack.push_async_callback(listener.stop, 0)
            await listener.set_serving()
        host, _, port = crowded.address.rpartition(":")
        ends = [await asyncio.open_connection(host, int(port)) for _ in range(120)]
        for _, writer in ends:
            stack.callback(writer.close)
        closed = await asyncio.gather(*(is_closed(reader) for reader, _ in ends))
        assert sum(closed) >= 120 - 16
        async with grpc.aio.insecure_channel(other.address) as channel:
            assert await health_of(channel, "") == SERVING
    report_attack(
        "one host opens 120 connections to the API and calls nothing",
        "all file descriptors, so that no peer can connect and the database cannot be opened",
        "the API's own connections, until they are closed as idle; all others are closed at once",
    )
