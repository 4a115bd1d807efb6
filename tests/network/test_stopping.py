"""Every call that a stop meets gets an answer with the catalogue's code."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import grpc
import pytest

from fedcoin.network.api import api_server
from fedcoin.network.client.rpc_error import RpcError, rpc_error_of
from fedcoin.network.interceptors import CallInfo
from fedcoin.network.listener import Listener
from fedcoin.v1 import (
    admin_service_pb2,
    artifact_service_pb2,
    artifact_upload_service_pb2,
    node_service_pb2,
    shapley_task_service_pb2,
    transaction_service_pb2,
)
from tests.support.served_api import serve_api
from tests.support.waiting import until

FILES = (
    admin_service_pb2,
    artifact_service_pb2,
    artifact_upload_service_pb2,
    node_service_pb2,
    shapley_task_service_pb2,
    transaction_service_pb2,
)
METHODS = [
    method
    for file in FILES
    for service in file.DESCRIPTOR.services_by_name.values()
    for method in service.methods
]


class Holder:
    """A guard that holds each call until it is cancelled, and counts them."""

    def __init__(self) -> None:
        self.held = 0

    @asynccontextmanager
    async def __call__(self, call: CallInfo, context: Any) -> AsyncIterator[None]:
        self.held += 1
        await asyncio.Event().wait()
        yield


async def outcome(channel: Any, method: Any) -> RpcError:
    """Call a method with an empty request, and return its failure."""
    path = f"/{method.containing_service.full_name}/{method.name}"

    async def requests() -> AsyncIterator[bytes]:
        yield b""
        await asyncio.Event().wait()

    call: Any
    if method.client_streaming:
        kind = channel.stream_stream if method.server_streaming else channel.stream_unary
        call = kind(path)(requests())
    else:
        call = (channel.unary_stream if method.server_streaming else channel.unary_unary)(path)(b"")
    try:
        await (call.read() if method.server_streaming else call)
    except grpc.aio.AioRpcError as error:
        return rpc_error_of(error, "")
    raise AssertionError(f"{path} has ended without a failure")


async def test_each_call_in_flight_at_a_stop_gets_an_answer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    holder = Holder()

    class Holding(Listener):
        def __init__(self, *args: Any, **options: Any) -> None:
            super().__init__(*args, **{**options, "guards": [holder]})

    monkeypatch.setattr(api_server, "Listener", Holding)
    async with serve_api(tmp_path) as api:
        socket = f"unix:{tmp_path / 'admin.sock'}"
        channels = {
            is_admin: grpc.aio.insecure_channel(socket if is_admin else api.server.address)
            for is_admin in (False, True)
        }
        calls = [
            asyncio.ensure_future(
                outcome(channels["Admin" in method.containing_service.name], method)
            )
            for method in METHODS
        ]
        await until(lambda: holder.held == len(METHODS))
        await api.server.stop(0.5)
        failures = await asyncio.wait_for(asyncio.gather(*calls), 5)
        assert {(error.status, error.code) for error in failures} == {
            (grpc.StatusCode.UNAVAILABLE, "SHUTTING_DOWN")
        }
        assert all(error.is_lost and error.is_transient for error in failures)
        for channel in channels.values():
            await channel.close()


async def test_a_call_that_the_disk_fails_is_told_to_the_node(tmp_path: Path) -> None:
    told: list[tuple[str, BaseException, bool]] = []

    async with serve_api(tmp_path) as api:
        api.server.on_failure(lambda *what: told.append(what))

        def fail(height: int) -> None:
            raise sqlite3.DatabaseError("database disk image is malformed")

        api.port.store.block = fail  # type: ignore[method-assign]
        api.chain.produce()
        with pytest.raises(RpcError) as caught:
            await api.node.get_block(1)
        assert caught.value.code == "INTERNAL"
        (name, error, is_vital), *_ = told
        assert name == "/fedcoin.v1.NodeService/GetBlock"
        assert isinstance(error, sqlite3.DatabaseError)
        assert not is_vital
