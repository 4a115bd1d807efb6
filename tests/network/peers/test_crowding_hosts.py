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
from fedcoin.network.connection_shares.own_connections import find_own_sockets
from fedcoin.network.host_groups import HostGroups, group_of
from tests.conftest import ReportAttack
from tests.support.keys import MINERS
from tests.support.node_core import make_network_genesis
from tests.support.other_host import OTHER_HOST
from tests.support.peer_nodes import FAST, PeerNode, running
from tests.support.processes.crowding_host import CONNECTIONS
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
@pytest.mark.skipif(sys.platform != "linux", reason="sockets have filters on Linux")
async def test_a_host_that_goes_on_calling_is_kept_out(
    node: PeerNode, report_attack: ReportAttack
) -> None:
    port = int(node.address.rpartition(":")[2])

    def count_crowd() -> int:
        connections = find_own_sockets(port).connections
        return sum(group_of(one.host) == OTHER_HOST for one in connections)

    async with crowd(node, "/grpc.health.v1.Health/Watch", "whole"):
        # Those stay whose calls were all answered before it had gone too far.
        await until(lambda: count_crowd() <= CONNECTIONS // 2, "most are closed, and none comes")
        async with open_channel(node.address, max_message_bytes=1024) as channel:
            check = health_pb2_grpc.HealthStub(channel).Check
            assert await check(health_pb2.HealthCheckRequest(), timeout=10)
    report_attack(
        "one host makes calls faster than the node refuses them, so that those of others are behind"
        " them in the queue of gRPC's library",
        "calls of all others: the queue drops them at random from 1,000 on, and all from 3,000 on",
        "after 512 refused calls each connection with a further one is closed, and no other comes"
        " for 60 s",
    )


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
