"""Which calls are retried, and which targets a proxy is not used for."""

from __future__ import annotations

import pytest
from google.protobuf.descriptor import ServiceDescriptor
from grpc import StatusCode

from fedcoin.network.client import federated_client, node_client
from fedcoin.network.client.channels import (
    describe_target,
    is_local_target,
    is_retried,
    open_channel,
)
from fedcoin.network.client.grpc_client import GrpcClient
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


@pytest.fixture
def dead_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    """A proxy address where nothing listens."""
    for name in ("http_proxy", "https_proxy", "grpc_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    for name in ("no_proxy", "no_grpc_proxy"):
        monkeypatch.delenv(name, raising=False)


async def test_a_node_on_this_machine_is_reached_past_the_proxy(
    dead_proxy: None, live: ServedApi
) -> None:
    async with NodeClient(live.server.address) as client:
        assert (await client.get_status()).height == 0


async def test_a_public_host_is_reached_through_the_proxy(dead_proxy: None) -> None:
    target = "api.example.org:7051"
    async with GrpcClient(target, open_channel(target)) as client:
        with pytest.raises(RpcError) as caught:
            await client.wait_until_serving(0.5)
    assert caught.value.status is StatusCode.UNAVAILABLE
    assert "127.0.0.1:1" in str(caught.value)


async def test_a_peer_is_never_reached_through_the_proxy(dead_proxy: None) -> None:
    target = "peer.invalid:7050"
    async with GrpcClient(target, open_channel(target, allow_proxy=False)) as client:
        with pytest.raises(RpcError) as caught:
            await client.wait_until_serving(0.5)
    assert "127.0.0.1:1" not in str(caught.value)


@pytest.mark.parametrize(
    ("target", "environment", "expected"),
    [
        ("n.example.org:1", {}, "n.example.org:1"),
        (
            "n.example.org:1",
            {"https_proxy": "http://me:secret@proxy:3128"},
            "n.example.org:1 (through the proxy http://proxy:3128 of https_proxy)",
        ),
        ("10.0.0.7:1", {"https_proxy": "http://proxy:3128"}, "10.0.0.7:1"),
        ("n.example.org:1", {"http_proxy": "p:1", "no_proxy": "a.org, .example.org"}, None),
        ("n.example.org:1", {"grpc_proxy": "p:1", "no_grpc_proxy": "n.example.org"}, None),
    ],
)
def test_errors_name_the_proxy(
    target: str, environment: dict[str, str], expected: str | None
) -> None:
    assert describe_target(target, environment) == (expected or target)


async def test_a_failed_call_names_the_proxy(dead_proxy: None) -> None:
    async with NodeClient("node.example.org:7051") as node:
        with pytest.raises(RpcError) as caught:
            await node.wait_until_serving(0.5)
    assert "through the proxy http://127.0.0.1:1 of grpc_proxy" in str(caught.value)
