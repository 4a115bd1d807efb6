"""AdminService on its Unix socket."""

from __future__ import annotations

import asyncio
import logging
import os
import stat
import threading
from pathlib import Path

import pytest
from grpc import StatusCode

from fedcoin.data.storage.chain_store import ChainStore
from fedcoin.network.api.api_tokens import make_token, write_tokens
from fedcoin.network.api.backup_targets import MAX_BACKUPS
from fedcoin.network.api.permissions import ApiRole
from fedcoin.network.client.admin_client import AdminClient
from fedcoin.network.client.node_client import NodeClient
from fedcoin.network.client.rpc_error import RpcError
from fedcoin.v1 import admin_service_pb2, admin_service_pb2_grpc
from tests.conftest import ReportAttack
from tests.support.keys import key_of
from tests.support.served_api import ServedApi, serve_api


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


@pytest.mark.attack
async def test_over_the_network_a_backup_has_a_name(
    tmp_path: Path, report_attack: ReportAttack
) -> None:
    text, entry = make_token("operator", ApiRole.ADMIN, 0)
    write_tokens(tmp_path / "tokens.json", [entry])
    folder = tmp_path / "api" / "backups"
    async with serve_api(tmp_path / "api", tokens=tmp_path / "tokens.json") as served:
        served.chain.produce()
        async with AdminClient(served.server.address) as far:
            far.metadata = (("authorization", f"Bearer {text}"),)
            outside = (str(tmp_path / "x"), "../x", "a/b", "", ".", "..", ".hidden", "a\0b")
            for path in (*outside, "a b", "x" * 129, "chain.part"):
                request = admin_service_pb2.BackupRequest(path=path)
                stub = admin_service_pb2_grpc.AdminServiceStub(far.channel)
                failure = await refused(far.call(stub.Backup, request))
                assert (failure.code, failure.field) == ("BAD_PATH", "path")
            reply = await far.backup(Path("chain-1.sqlite"))
            assert reply.size == (folder / "chain-1.sqlite").stat().st_size
            assert stat.S_IMODE(folder.stat().st_mode) == 0o700
            assert (await refused(far.backup(Path("chain-1.sqlite")))).code == "FILE_EXISTS"
            for number in range(MAX_BACKUPS - 1):
                (folder / f"kept-{number}").touch()
            assert (await refused(far.backup(Path("more")))).code == "TOO_MANY_BACKUPS"
        # Who opens the operator's socket is the node's user, and may write there anyway.
        assert (await served.admin.backup(tmp_path / "more")).height == 1
    assert set(os.listdir(tmp_path)) == {"api", "tokens.json", "more"}
    report_attack(
        "with an admin's token, from another machine, have the chain copied into a folder of"
        " programs that the node's user starts",
        "a file anywhere that the node's user may write, and the disk full of copies",
        "BAD_PATH: up to 16 new files of `api.backups`",
    )


async def test_backups_at_one_time_do_not_pass_the_limit(
    live: ServedApi,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    report_attack: ReportAttack,
) -> None:
    live.chain.produce()
    copying, go_on = threading.Event(), threading.Event()
    copy = ChainStore.backup

    def wait_and_copy(store: ChainStore, path: Path) -> int:
        copying.set()
        assert go_on.wait(30)
        return copy(store, path)

    monkeypatch.setattr(ChainStore, "backup", wait_and_copy)
    first = asyncio.create_task(live.admin.backup(tmp_path / "first"))
    assert await asyncio.to_thread(copying.wait, 30)
    for name in ("first", "second"):
        assert (await refused(live.admin.backup(tmp_path / name))).code == "TOO_MANY_BACKUPS"
    go_on.set()
    assert (await first).height == 1
    assert (await live.admin.backup(tmp_path / "second")).height == 1
    report_attack(
        "with an admin's token, order many backups at one time",
        "every one is written, whatever the limit of files",
        "TOO_MANY_BACKUPS: one at a time",
    )


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
