"""Which calls are retried, and which targets a proxy is not used for."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import pytest
from google.protobuf.descriptor import ServiceDescriptor
from grpc import StatusCode

from fedcoin.network.client import federated_client, node_client
from fedcoin.network.client.channels import (
    describe_target,
    is_local_target,
    is_retried,
)
from fedcoin.network.client.node_client import NodeClient
from fedcoin.network.client.rpc_error import RpcError
from fedcoin.v1 import admin_service_pb2
from tests.support.served_api import ServedApi

ALL = {service.name: service for service in (*node_client.SERVICES, *federated_client.SERVICES)}


def retried(service: ServiceDescriptor) -> set[str]:
    return {method.name for method in service.methods if is_retried(method)}


def test_calls_that_read_are_retried() -> None:
    for service in ALL.values():
        reads = {m.name for m in service.methods if m.name.startswith(("Get", "List", "Watch"))}
        assert reads <= retried(service)


def test_calls_that_change_something_are_retried_if_twice_is_the_same_as_once() -> None:
    assert "SubmitTransaction" in retried(ALL["TransactionService"])
    assert {"Register", "AnnounceUpdate", "SubmitUpdate"} <= retried(
        ALL["FederatedLearningService"]
    )
    assert "Upload" not in retried(ALL["ArtifactUploadService"])
    assert not retried(admin_service_pb2.DESCRIPTOR.services_by_name["AdminService"])


@pytest.mark.parametrize(
    "target",
    [
        "unix:/home/node/admin.sock",
        "127.0.0.1:7051",
        "[::1]:7051",
        "localhost:7051",
        "10.0.0.7:7051",
        "172.16.3.1:7051",
        "192.168.1.20:7051",
        "169.254.10.10:7051",
        "100.64.0.9:7051",
        "[fd00::7]:7051",
        "[fe80::1]:7051",
        "0.0.0.0:7051",
        "node1:7051",
        "node.local:7051",
        "Node.Internal.:7051",
    ],
)
def test_local_targets(target: str) -> None:
    assert is_local_target(target)


@pytest.mark.parametrize(
    "target", ["8.8.8.8:7051", "[2606:4700::1111]:7051", "node.example.org:7051"]
)
def test_public_targets(target: str) -> None:
    assert not is_local_target(target)


@pytest.fixture(autouse=True)
def dead_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    """Variables that name a proxy where nothing listens; nothing may use it."""
    for name in ("http_proxy", "https_proxy", "grpc_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    for name in ("no_proxy", "no_grpc_proxy"):
        monkeypatch.delenv(name, raising=False)


@asynccontextmanager
async def connect_proxy(target: str) -> AsyncIterator[tuple[str, list[str]]]:
    """Serve an HTTP proxy that connects every CONNECT to `target`; yields its URL and requests."""
    requests: list[str] = []
    writers: list[asyncio.StreamWriter] = []

    async def copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while part := await reader.read(65_536):
            writer.write(part)
        writer.close()

    async def tunnel(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        requests.append((await reader.readuntil(b"\r\n\r\n")).decode())
        host, _, port = target.rpartition(":")
        inner_reader, inner_writer = await asyncio.open_connection(host, int(port))
        writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
        writers.extend((writer, inner_writer))
        with suppress(ConnectionError):
            await asyncio.gather(copy(reader, inner_writer), copy(inner_reader, writer))

    server = await asyncio.start_server(tunnel, "127.0.0.1", 0)
    try:
        yield f"me:secret@127.0.0.1:{server.sockets[0].getsockname()[1]}", requests
    finally:
        server.close()
        for writer in writers:
            writer.close()
        await asyncio.gather(*(writer.wait_closed() for writer in writers), return_exceptions=True)


async def test_a_public_host_is_reached_through_the_proxy_that_is_set(
    live: ServedApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    public = "api.example.org:7051"
    async with connect_proxy(live.server.address) as (proxy, requests):
        async with NodeClient(public, proxy=f"http://{proxy}") as client:
            assert (await client.get_status()).height == 0
        first, *headers = requests[0].split("\r\n")
        assert first.startswith(f"CONNECT {public} HTTP/1.")
        assert "Proxy-Authorization: Basic bWU6c2VjcmV0" in headers  # me:secret
        async with NodeClient(live.server.address, proxy=f"http://{proxy}") as client:
            assert (await client.get_status()).height == 0
        monkeypatch.setenv("no_proxy", ".example.org")
        async with NodeClient("peer.example.org:7051", proxy=f"http://{proxy}") as client:
            with pytest.raises(RpcError):
                await client.get_status()
        assert len(requests) == 1


async def test_a_dead_proxy_is_named_without_its_password() -> None:
    async with NodeClient("node.example.org:7051", proxy="http://me:secret@127.0.0.1:1") as node:
        with pytest.raises(RpcError) as caught:
            await node.wait_until_serving(0.5)
    assert caught.value.status is StatusCode.UNAVAILABLE
    assert "node.example.org:7051 (through the proxy http://127.0.0.1:1)" in str(caught.value)
    assert "secret" not in str(caught.value)


async def test_no_variable_leads_to_a_proxy(live: ServedApi) -> None:
    target = "node.invalid:7050"
    async with NodeClient(target) as client, NodeClient(live.server.address) as local:
        with pytest.raises(RpcError) as caught:
            await client.wait_until_serving(0.5)
        assert (await local.get_status()).height == 0
    assert "127.0.0.1:1" not in str(caught.value)


@pytest.mark.parametrize(
    ("target", "environment", "proxied"),
    [
        ("n.example.org:1", {}, True),
        ("8.8.8.8:7051", {}, True),
        ("10.0.0.7:1", {}, False),
        ("n.example.org:1", {"no_proxy": "a.org, .example.org"}, False),
        ("n.example.org:1", {"no_grpc_proxy": "n.example.org", "no_proxy": "x.org"}, False),
    ],
)
def test_errors_name_the_proxy(target: str, environment: dict[str, str], proxied: bool) -> None:
    expected = f"{target} (through the proxy http://proxy:3128)" if proxied else target
    assert describe_target(target, "http://me:secret@proxy:3128", environment) == expected
    assert describe_target(target, "", environment) == target
