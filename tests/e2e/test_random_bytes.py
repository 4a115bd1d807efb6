"""Random bytes to every method of every listener of a node and a coordinator.

Each call ends with a status that blames the caller, everything works afterwards, and no log has an
error. The listeners' reflection names the methods, so that none is forgotten.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Any

import grpc
import pytest
from google.protobuf import descriptor_pb2, descriptor_pool
from google.protobuf.descriptor import MethodDescriptor
from google.protobuf.message_factory import GetMessageClass
from grpc import StatusCode
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from fedcoin.network.client.federated_client import FederatedClient
from fedcoin.network.client.node_client import NodeClient
from fedcoin.network.peers.connections.endpoints import parse_endpoint
from fedcoin.network.peers.connections.link import Introduction, open_link
from fedcoin.network.peers.connections.security import Security
from fedcoin.v1 import (
    admin_service_pb2,
    block_gossip_service_pb2,
    consensus_service_pb2,
    peer_service_pb2,
    transaction_relay_service_pb2,
)
from fedcoin.v1 import federated_learning_service_pb2 as pb
from fedcoin.v1.task_pb2 import SignedUpdate
from tests.support.e2e.campaigns import Campaign, reached
from tests.support.e2e.learners import CoordinatorProcess, Learner, prepared
from tests.support.e2e.materials import Round
from tests.support.e2e.network import BOND, Network, pay
from tests.support.keys import ALICE, BOB, key_of
from tests.support.programs import Stage
from tests.support.waiting import until

EOF: Any = vars(grpc.aio)["EOF"]
UNCLEAN = {StatusCode.INTERNAL, StatusCode.UNKNOWN, StatusCode.DATA_LOSS}

DESCRIBED = (
    admin_service_pb2,
    block_gossip_service_pb2,
    consensus_service_pb2,
    peer_service_pb2,
    transaction_relay_service_pb2,
)
"""Modules that are imported only for their descriptors."""

API = {
    "NodeService", "TransactionService", "ShapleyTaskService", "ArtifactService",
    "ArtifactUploadService",
}  # fmt: skip
PEERS = {
    "PeerService", "BlockGossipService", "ConsensusService", "TransactionRelayService",
    "ArtifactService",
}  # fmt: skip
LISTENERS = {
    "api": API,
    "peers": PEERS,
    "coordinator": {"FederatedLearningService", "ArtifactService", "ArtifactUploadService"},
    "admin": {"AdminService"},
}


@dataclass(frozen=True)
class Site:
    network: Network
    coordinator: CoordinatorProcess
    seeds: list[bytes]
    """Real messages of all kinds, to be garbled."""

    def target(self, listener: str) -> str:
        node = self.network.nodes[0]
        return {
            "api": node.api,
            "peers": node.peers,
            "coordinator": self.coordinator.address,
            "admin": f"unix:{node.home.admin_socket}",
        }[listener]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with Stage(tmp_path_factory.mktemp("bytes")) as stage:
        network = Network(stage, [BOND])
        made = asyncio.run(begin(network))
        yield made
        made.coordinator.program.stop()
        network.finish()


async def begin(network: Network) -> Site:
    """Make a chain with a settled task, and a coordinator in the middle of a round."""
    await network.start()
    async with network.nodes[0].client() as client:
        await pay(client, ALICE, BOB.address, 1)
        campaign = Campaign(client, network.chain, Round(3, size=50))
        task_id = await campaign.begin()
        await reached(client, task_id, "SETTLED")
        terms = campaign.task()
        blocks = await client.list_blocks(5)
    coordinator = await prepared(network, clients=1, round_seconds=600)
    await coordinator.start()
    async with FederatedClient(coordinator.address) as joining:
        await Learner(coordinator, 0, 1).join(joining)
    await until(lambda: coordinator.state()["phase"] == "training", "clients train")
    seeds = [
        terms.SerializeToString(),
        *(update.SerializeToString() for update in terms.updates),
        *(block.SerializeToString() for block in blocks),
        SignedUpdate(body=b"\x0a\x20" + bytes(32), public_key=bytes(32)).SerializeToString(),
    ]
    return Site(network, coordinator, seeds)


@asynccontextmanager
async def unharmed(site: Site) -> AsyncIterator[None]:
    """Check afterwards that node and coordinator are unchanged and work."""
    node = site.network.nodes[0]
    before, campaign = await node.status(), site.coordinator.state()
    yield
    after = await node.status()
    assert (after.height, after.app_hash) == (before.height, before.app_hash)
    assert after.pending_transactions == 0
    assert site.coordinator.state() == campaign
    assert node.program.running
    assert site.coordinator.program.running
    async with FederatedClient(site.coordinator.address) as client:
        assert (await client.get_campaign_status()).phase == pb.ROUND_PHASE_TRAINING
    site.network.stage.check_logs()


@dataclass(frozen=True)
class Method:
    """One method and its descriptor."""

    service: str
    name: str
    shape: MethodDescriptor

    @property
    def path(self) -> str:
        return f"/{self.service}/{self.name}"

    @property
    def ours(self) -> bool:
        return self.service.startswith("fedcoin.")


async def methods_of(target: str) -> list[Method]:
    """Return every method that a listener's reflection names."""
    async with grpc.aio.insecure_channel(target) as channel:
        stub = reflection_pb2_grpc.ServerReflectionStub(channel)
        request = reflection_pb2.ServerReflectionRequest(list_services="")
        call = stub.ServerReflectionInfo(iter([request]))
        names = [s.name async for reply in call for s in reply.list_services_response.service]
    pool = descriptor_pool.Default()
    found = []
    for name in names:
        # Both versions of reflection differ in their name only.
        service = pool.FindServiceByName(name.replace("reflection.v1.", "reflection.v1alpha."))
        found += [Method(name, method.name, method) for method in service.methods]
    return found


def junk(method: Method, seeds: list[bytes], rng: random.Random) -> bytes:
    """Return noise, a message with random fields, or a real message with random changes."""
    kind = rng.randrange(4)
    if kind == 0:
        return rng.randbytes(rng.choice((0, 1, 2, 8, 60, 700)))
    if kind == 1:
        return bytes([rng.choice((0x0A, 0x12, 0x1A, 0x08)), rng.randrange(128)]) + rng.randbytes(40)
    if kind == 2:
        garbled = bytearray(rng.choice(seeds))
        for _ in range(rng.randrange(1, 6)):
            garbled[rng.randrange(len(garbled))] = rng.randrange(256)
        return bytes(garbled[: rng.randrange(1, len(garbled) + 1)])
    message = GetMessageClass(method.shape.input_type)()
    fill(message, rng, 3)
    return message.SerializeToString()


def fill(message: Any, rng: random.Random, depth: int) -> None:
    """Set some of the fields to random values."""
    Kind = descriptor_pb2.FieldDescriptorProto
    for field in message.DESCRIPTOR.fields:
        if rng.random() < 0.3:
            continue
        if field.type == Kind.TYPE_MESSAGE:
            if depth:
                inner = getattr(message, field.name)
                if field.is_repeated:
                    for _ in range(rng.randrange(3)):
                        fill(inner.add(), rng, depth - 1)
                else:
                    inner.SetInParent()
                    fill(inner, rng, depth - 1)
            continue
        if field.is_repeated:
            getattr(message, field.name).extend(value(field, rng) for _ in range(rng.randrange(4)))
        else:
            setattr(message, field.name, value(field, rng))


def value(field: Any, rng: random.Random) -> Any:
    Kind = descriptor_pb2.FieldDescriptorProto
    if field.type == Kind.TYPE_STRING:
        return rng.choice(["", "\0", "é" * 70, "f" * 64, "fc1" + "q" * 38, "/etc/passwd", "a:b:c"])
    if field.type == Kind.TYPE_BYTES:
        return rng.randbytes(rng.choice((0, 1, 20, 32, 33, 64, 900)))
    if field.type == Kind.TYPE_BOOL:
        return rng.random() < 0.5
    if field.type == Kind.TYPE_ENUM:
        return rng.randrange(12)
    unsigned = field.type in (Kind.TYPE_UINT32, Kind.TYPE_UINT64)
    bits = 32 if field.type in (Kind.TYPE_UINT32, Kind.TYPE_INT32, Kind.TYPE_SINT32) else 64
    most = 2**bits - 1 if unsigned else 2 ** (bits - 1) - 1
    return rng.choice((0, 1, 2, most, most - 1, rng.randrange(most)))


async def outcome(
    channel: grpc.aio.Channel, method: Method, messages: list[bytes], metadata: Any = ()
) -> StatusCode:
    """Return the status of a call; OK for a stream that stays open."""
    shape = method.shape
    shapes: dict[tuple[bool, bool], Any] = {
        (False, False): channel.unary_unary,
        (False, True): channel.unary_stream,
        (True, False): channel.stream_unary,
        (True, True): channel.stream_stream,
    }
    start = shapes[shape.client_streaming, shape.server_streaming](method.path)
    request = iter(messages) if shape.client_streaming else messages[0]
    call = start(request, metadata=metadata, timeout=10)
    try:
        if not shape.server_streaming:
            await call
            return StatusCode.OK
        while await asyncio.wait_for(call.read(), 0.4) != EOF:
            pass
        code: StatusCode = await call.code()
        return code
    except asyncio.TimeoutError:
        return StatusCode.OK
    except grpc.aio.AioRpcError as error:
        # The server ended the call while this side was writing, so its status is lost.
        own = (error.details() or "").endswith("from Core")
        return StatusCode.CANCELLED if own else error.code()
    finally:
        call.cancel()


async def barrage(
    target: str,
    methods: list[Method],
    seeds: list[bytes],
    rng: random.Random,
    times: int,
    metadata: Any = (),
) -> None:
    """Send junk to each method, several calls at once."""
    async with grpc.aio.insecure_channel(target) as channel:
        for method in methods:
            calls = [
                outcome(
                    channel,
                    method,
                    [junk(method, seeds, rng) for _ in range(rng.randrange(1, 4))],
                    metadata,
                )
                for _ in range(times)
            ]
            outcomes = set(await asyncio.gather(*calls))
            assert not UNCLEAN & outcomes, (method.path, outcomes)


def destructive(method: Method) -> bool:
    """Tell whether a random message could stop the node, as an operator can."""
    return method.path.removeprefix("/fedcoin.v1.AdminService/") in ("Stop", "Drain")


@pytest.mark.parametrize("listener", LISTENERS)
async def test_junk_to_every_method(site: Site, listener: str) -> None:
    target = site.target(listener)
    methods = [m for m in await methods_of(target) if not destructive(m)]
    services = {m.service.removeprefix("fedcoin.v1.") for m in methods if m.ours}
    assert services == LISTENERS[listener]
    async with unharmed(site):
        await barrage(target, methods, site.seeds, random.Random(listener), times=12)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(20))
async def test_much_more_junk(site: Site, seed: int) -> None:
    """Send more of it, to all listeners."""
    async with unharmed(site):
        for listener in LISTENERS:
            target = site.target(listener)
            methods = [m for m in await methods_of(target) if not destructive(m)]
            rng = random.Random(f"{listener} {seed}")
            await barrage(target, methods, site.seeds, rng, times=40)


async def test_junk_from_peers_with_a_session(site: Site) -> None:
    """A node bans peers that send junk; an honest peer can still join."""
    node = site.network.nodes[0]
    rng = random.Random("peers")
    methods = [m for m in await methods_of(node.peers) if m.ours]
    async with unharmed(site):
        for number in range(len(methods)):
            key = key_of(f"vandal {number}")
            introduction = Introduction(node.home.genesis(), key, "v/1", lambda: "", lambda: 0)
            link = await open_link(
                parse_endpoint(node.peers), introduction, Security(None, insecure=False), 5.0
            )
            try:
                # A session is bound to its connection.
                channel = link.channel
                for method in rng.sample(methods, 6):
                    junks = [junk(method, site.seeds, rng) for _ in range(3)]
                    code = await outcome(channel, method, junks, link.metadata)
                    assert code not in UNCLEAN, method.path
            finally:
                await link.close()
        honest = site.network.add("honest", key_of("honest"))
        site.network.nodes.remove(honest)
        await honest.start()
        await honest.caught_up((await node.status()).height)
        honest.program.stop()


@pytest.mark.parametrize("listener", ["api", "peers", "coordinator"])
async def test_bytes_that_are_not_grpc_are_survived(site: Site, listener: str) -> None:
    host, _, port = site.target(listener).rpartition(":")
    rng = random.Random(listener)
    preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
    async with unharmed(site):
        for raw in (
            b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
            b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc" + rng.randbytes(500),
            preface + rng.randbytes(2000),
            preface + b"\x00\x00\x00\x04\x00\x00\x00\x00\x00" + rng.randbytes(50_000),
            rng.randbytes(100_000),
            b"",
        ):
            reader, writer = await asyncio.open_connection(host, int(port))
            writer.write(raw)
            with suppress(asyncio.TimeoutError, ConnectionError):
                await asyncio.wait_for(reader.read(), 0.3)
            writer.close()


async def test_the_node_still_settles_tasks(site: Site) -> None:
    """Make a transfer and settle a task."""
    async with NodeClient(site.network.nodes[0].api) as client:
        await pay(client, ALICE, BOB.address, 1)
        campaign = Campaign(client, site.network.chain, Round(3, size=50))
        await reached(client, await campaign.begin(), "SETTLED")
