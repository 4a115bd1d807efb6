"""One host cannot lock others out of a node, whatever it opens."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from fedcoin.network.client.channels import open_channel
from fedcoin.network.host_groups import HostGroups
from tests.conftest import ReportAttack
from tests.support.keys import MINERS
from tests.support.node_core import make_network_genesis
from tests.support.peer_nodes import FAST, PeerNode, running
from tests.support.waiting import until

# No host is exempt, so that loopback is as limited as the Internet.
# A dial may wait for its turn among thousands of calls in the same process.
STRICT = replace(FAST, hosts=HostGroups(()), dial_timeout_s=30.0)


@pytest.fixture
async def node(tmp_path: Path) -> AsyncIterator[PeerNode]:
    made = PeerNode(tmp_path / "node", make_network_genesis(), MINERS[0], options=STRICT)
    async with running(made):
        yield made


@asynccontextmanager
async def crowd(node: PeerNode, method: str, requests: str) -> AsyncIterator[None]:
    """Have another host open thousands of calls, with or without their requests."""
    module = "tests.support.processes.crowding_host"
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", module, node.address, method, requests, stdout=asyncio.subprocess.PIPE
    )
    try:
        assert process.stdout is not None
        line = await asyncio.wait_for(process.stdout.readline(), 100)
        assert line.startswith(b"ready")
        yield
    finally:
        process.kill()
        await process.wait()


@pytest.mark.attack
@pytest.mark.parametrize(
    ("method", "requests"),
    [
        ("/grpc.health.v1.Health/Watch", "whole"),
        ("/grpc.health.v1.Health/Check", "half"),
        ("/fedcoin.v1.PeerService/Hello", "half"),
        ("/fedcoin.v1.ConsensusService/Exchange", "half"),
    ],
)
async def test_a_host_with_thousands_of_calls_locks_nobody_out(
    node: PeerNode, tmp_path: Path, method: str, requests: str, report_attack: ReportAttack
) -> None:
    async with crowd(node, method, requests):
        other = PeerNode(tmp_path / "other", node.genesis, MINERS[1], [node.network.address])
        async with running(other):
            await until(lambda: node.linked() == other.linked() == 1)
            await until(lambda: node.peer(other).streams > 0)
            async with open_channel(node.address, max_message_bytes=1024) as channel:
                stub = health_pb2_grpc.HealthStub(channel)
                watching = stub.Watch(health_pb2.HealthCheckRequest())
                reply = await asyncio.wait_for(watching.read(), 45)
                assert reply is not grpc.aio.EOF
    name, state = method.rpartition("/")[2], "complete" if requests == "whole" else "unfinished"
    report_attack(
        f"one host opens thousands of calls of `{name}`, with {state} requests",
        "all places of the listener",
        "its own share of the places; others connect and call",
    )
