"""The client of a node: errors name the node, streams continue, artifacts travel both ways."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import grpc
import pytest
from grpc import StatusCode

from fedcoin.data.artifacts.manifest import CHUNK_BYTES, compute_artifact_id
from fedcoin.data.errors import DataCode, RefusalError
from fedcoin.data.messages.transactions import Transaction
from fedcoin.network.call_limits import CallLimits
from fedcoin.network.client.node_client import NodeClient
from fedcoin.network.client.rpc_error import RpcError
from fedcoin.v1 import artifact_upload_service_pb2 as pb
from fedcoin.v1 import artifact_upload_service_pb2_grpc as rpc
from fedcoin.v1 import node_service_pb2, node_service_pb2_grpc
from fedcoin.v1 import transaction_service_pb2 as tx
from fedcoin.v1 import transaction_service_pb2_grpc as tx_rpc
from tests.support.keys import ALICE, BOB
from tests.support.served_api import ServedApi, serve_api
from tests.support.transfers import transfer_to
from tests.support.waiting import WAIT_SECONDS, until


async def refused(call: object) -> RpcError:
    with pytest.raises(RpcError) as caught:
        await call  # type: ignore[misc]
    return caught.value


async def test_an_unreachable_node_is_named() -> None:
    async with NodeClient("127.0.0.1:1", timeout=5) as client:
        failure = await refused(client.get_status())
        assert failure.status is StatusCode.UNAVAILABLE
        assert failure.code == "UNAVAILABLE"
        assert failure.is_lost
        assert str(failure).startswith("127.0.0.1:1: cannot be reached")
        failure = await refused(client.wait_until_serving(0.3))
        assert failure.target == "127.0.0.1:1"


async def test_a_missing_socket_is_named(tmp_path: Path) -> None:
    async with NodeClient(f"unix:{tmp_path}/none.sock", timeout=5) as client:
        assert "none.sock" in str(await refused(client.get_status()))


async def test_a_server_that_hangs_is_left(live: ServedApi) -> None:
    async def hang(transactions: Sequence[Transaction]) -> list[RefusalError | None]:
        await asyncio.sleep(60)
        raise AssertionError

    live.pool.submit_all = hang  # type: ignore[method-assign]
    client = rpc.ArtifactUploadServiceStub(live.node.channel)
    await live.node.call(client.GetUploadStatus, pb.GetUploadStatusRequest(id=bytes(32)))
    paid = live.chain.sign(ALICE, transfer_to((BOB.address, 1)))
    stub = tx_rpc.TransactionServiceStub(live.node.channel)
    request = tx.SubmitTransactionRequest(transaction=paid.raw)
    failure = await refused(live.node.call(stub.SubmitTransaction, request, timeout=0.2))
    assert failure.status is StatusCode.DEADLINE_EXCEEDED
    assert "did not answer in time" in str(failure)


async def test_events_go_on_where_a_lost_node_left_off(tmp_path: Path) -> None:
    async with serve_api(tmp_path / "a") as live:
        address = live.server.address
        async with NodeClient(address) as client:
            events = client.watch_events(1, patience=20)
            live.chain.produce()
            assert (await anext(events)).block.height == 1
            blocks, certificates = live.chain.blocks, live.chain.certificates
            # The node stops, and another one with more blocks starts at its address.
            await live.server.stop(0)
            waiting = asyncio.ensure_future(anext(events))
            await asyncio.sleep(0.2)
            assert not waiting.done()
            async with serve_api(tmp_path / "b", listen=address) as again:
                for block, certificate in zip(blocks, certificates, strict=True):
                    again.chain.add(block, certificate)
                again.chain.produce()
                again.chain.produce()
                assert (await waiting).block.height == 2
                assert (await anext(events)).block.height == 3
            await events.aclose()


async def test_a_node_that_stays_away_ends_the_stream(live: ServedApi) -> None:
    live.chain.produce()
    events = live.node.watch_events(1, patience=0.3)
    await anext(events)
    await live.server.stop(0)
    failure = await refused(anext(events))
    assert failure.is_lost
    assert live.server.address in str(failure)


async def test_too_many_watchers_are_refused(tmp_path: Path) -> None:
    async with serve_api(tmp_path, limits=CallLimits(max_streams=2)) as live:
        watches = [live.node.watch_events(1, patience=0) for _ in range(3)]
        waiting = [asyncio.ensure_future(anext(watch)) for watch in watches[:2]]
        await until(lambda: live.port.num_waiting == 2)
        failure = await refused(anext(watches[2]))
        assert (failure.status, failure.code) == (StatusCode.RESOURCE_EXHAUSTED, "TOO_MANY_CALLS")
        assert failure.limit == "2"
        live.chain.produce()
        assert [(await event).block.height for event in waiting] == [1, 1]
        for watch in watches:
            await watch.aclose()


async def test_a_watcher_that_does_not_read_is_cut(tmp_path: Path) -> None:
    async with serve_api(tmp_path, limits=CallLimits(write_timeout_s=0.2)) as live:
        one = transfer_to((BOB.address, 1))
        for _ in range(10):
            live.chain.produce(*(live.chain.sign(ALICE, one, ahead=i) for i in range(120)))
        # Without bandwidth probing, a stream buffers at most 64 KiB that is not read.
        options = [("grpc.http2.bdp_probe", 0)]
        request = node_service_pb2.WatchEventsRequest(from_height=1)
        async with grpc.aio.insecure_channel(live.server.address, options=options) as channel:
            stub = node_service_pb2_grpc.NodeServiceStub(channel)
            watches = [stub.WatchEvents(request) for _ in range(5)]
            await watches[0].read()
            await asyncio.sleep(1)
            reading = [asyncio.ensure_future(read_to_the_end(watch)) for watch in watches[1:]]
            ended, waiting = await asyncio.wait(
                reading, timeout=WAIT_SECONDS, return_when=asyncio.FIRST_COMPLETED
            )
            for task in waiting:
                task.cancel()
        assert ended
        assert {task.result() for task in ended} == {StatusCode.RESOURCE_EXHAUSTED}
        # A stream that was cut no longer counts against the limit.
        live.chain.produce()
        assert (await anext(live.node.watch_events(11))).block.height == 11


async def read_to_the_end(watch: grpc.aio.UnaryStreamCall[Any, Any]) -> StatusCode:
    try:
        while await watch.read() is not grpc.aio.EOF:
            pass
    except grpc.aio.AioRpcError as error:
        return error.code()
    return StatusCode.OK


async def test_artifacts_there_and_back(live: ServedApi, tmp_path: Path) -> None:
    data = os.urandom(3 * CHUNK_BYTES + 17)
    path = tmp_path / "weights"
    path.write_bytes(data)
    assert not await live.node.has_artifact(compute_artifact_id(data))
    assert await live.node.upload_artifact(path) == compute_artifact_id(data)
    assert await live.node.upload_artifact(data) == compute_artifact_id(data)
    assert await live.node.has_artifact(compute_artifact_id(data))
    assert live.artifacts.read(compute_artifact_id(data)) == data
    assert await live.node.download_artifact(compute_artifact_id(data)) == data
    assert await live.node.download_artifact(compute_artifact_id(data).hex()) == data


async def test_artifacts_that_are_not_there_or_too_large(live: ServedApi) -> None:
    failure = await refused(live.node.download_artifact(bytes(32)))
    assert (failure.status, failure.code) == (StatusCode.NOT_FOUND, "ARTIFACT_NOT_FOUND")
    id = await live.node.upload_artifact(bytes(100_000))
    with pytest.raises(RefusalError, match=live.server.address) as caught:
        await live.node.download_artifact(id, max_bytes=99_999)
    assert caught.value.code is DataCode.TOO_LARGE
    failure = await refused(live.node.upload_artifact(bytes((1 << 24) + 1)))
    assert (failure.status, failure.code) == (StatusCode.RESOURCE_EXHAUSTED, "TOO_LARGE")
