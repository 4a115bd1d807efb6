"""AdminService on its Unix socket."""

from __future__ import annotations

import logging
import stat
from pathlib import Path

import pytest
from grpc import StatusCode

from fedcoin.data.storage.chain_store import ChainStore
from fedcoin.network.client.node_client import NodeClient
from fedcoin.network.client.rpc_error import RpcError
from fedcoin.v1 import admin_service_pb2, admin_service_pb2_grpc
from tests.support.keys import key_of
from tests.support.served_api import ServedApi


async def refused(call: object) -> RpcError:
    with pytest.raises(RpcError) as caught:
        await call  # type: ignore[misc]
    return caught.value


async def test_only_the_owner_may_connect(live: ServedApi) -> None:
    mode = (live.folder / "admin.sock").stat().st_mode
    assert stat.S_ISSOCK(mode)
    assert stat.S_IMODE(mode) == 0o600


async def test_the_api_does_not_offer_it(live: ServedApi) -> None:
    stub = admin_service_pb2_grpc.AdminServiceStub(live.node.channel)
    failure = await refused(live.node.call(stub.Stop, admin_service_pb2.StopRequest()))
    assert failure.status is StatusCode.UNIMPLEMENTED
    assert not live.operator.stopped


async def test_peers_are_added_dropped_and_banned(live: ServedApi) -> None:
    node_key = await live.admin.add_peer("10.0.0.1:7050")
    assert node_key == key_of("10.0.0.1:7050").public_key.hex()
    await live.admin.drop_peer(node_key)
    failure = await refused(live.admin.drop_peer(node_key))
    assert (failure.status, failure.code) == (StatusCode.NOT_FOUND, "PEER_NOT_CONNECTED")
    await live.admin.ban_peer(bytes.fromhex(node_key), seconds=60)
    assert live.peers.banned == {bytes.fromhex(node_key): 60}
    await live.admin.ban_host("10.0.0.1", seconds=60)
    assert live.peers.banned_hosts == {"10.0.0.1": 60}
    stub = admin_service_pb2_grpc.AdminServiceStub(live.admin.channel)
    both = admin_service_pb2.BanPeerRequest(node_key=node_key, host="10.0.0.1")
    failure = await refused(live.admin.call(stub.BanPeer, both))
    assert (failure.code, failure.field) == ("MALFORMED", "host")
    failure = await refused(live.admin.add_peer("10.0.0.1:1"))
    assert (failure.status, failure.field) == (StatusCode.UNAVAILABLE, "address")
    for call in (live.admin.drop_peer("nonsense"), live.admin.ban_peer("")):
        failure = await refused(call)
        assert (failure.code, failure.field) == ("MALFORMED", "node_key")


async def test_the_log_level(live: ServedApi) -> None:
    for name in ("debug", "info", "warning", "error"):
        await live.admin.set_log_level(name)
        assert live.operator.level == getattr(logging, name.upper())
    failure = await refused(live.admin.set_log_level("loud"))
    assert (failure.status, failure.code) == (StatusCode.INVALID_ARGUMENT, "BAD_LOG_LEVEL")
    assert (failure.field, failure.limit) == ("level", "debug, info, warning, error")


async def test_draining(live: ServedApi) -> None:
    assert await live.admin.drain() == 2
    assert live.operator.draining
    assert not live.operator.stopped


async def test_stopping(live: ServedApi) -> None:
    await live.admin.stop()
    assert live.operator.stopped


async def test_a_backup_is_a_whole_chain(live: ServedApi, tmp_path: Path) -> None:
    for _ in range(3):
        live.chain.produce()
    target = tmp_path / "copy.sqlite"
    reply = await live.admin.backup(target)
    assert (reply.height, reply.size) == (3, target.stat().st_size)
    with ChainStore.open(target, live.chain.genesis) as copy:
        assert copy.height() == 3
        assert copy.tip_hash() == live.chain.hash
    failure = await refused(live.admin.backup(target))
    assert (failure.status, failure.code) == (StatusCode.ALREADY_EXISTS, "FILE_EXISTS")


@pytest.mark.parametrize(
    "path", ["", "relative.sqlite", "/no/such/folder/copy.sqlite", "/proc/copy.sqlite", "/a\0b"]
)
async def test_a_backup_that_cannot_be(live: ServedApi, path: str) -> None:
    failure = await refused(live.admin.backup(Path(path)))
    assert (failure.status, failure.code) == (StatusCode.INVALID_ARGUMENT, "BAD_PATH")
    assert failure.field == "path"


async def test_the_node_client_works_on_any_listener(live: ServedApi) -> None:
    async with NodeClient(live.admin.target) as client:
        await client.wait_until_serving(2)
        failure = await refused(client.get_status())
    assert failure.status is StatusCode.UNIMPLEMENTED
    assert "does not offer this" in str(failure)
