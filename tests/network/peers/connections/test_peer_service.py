"""The handshake over the wire, and the calls that need a session."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from fedcoin.data.clock import unix_ms
from fedcoin.data.crypto.keys import KeyPair
from fedcoin.data.errors import RefusalError
from fedcoin.network.error_details import read_error_details
from fedcoin.network.errors import NetworkCode
from fedcoin.network.peer_options import SESSION_METADATA
from fedcoin.network.peers.connections import handshake
from fedcoin.network.peers.connections.endpoints import parse_endpoint
from fedcoin.network.peers.connections.handshake import Role, Transcript
from fedcoin.network.peers.connections.link import open_link
from fedcoin.network.peers.connections.peer_guard import WITHOUT_SESSION
from fedcoin.network.peers.connections.security import Security
from fedcoin.network.peers.protection.limits import LIMITS
from fedcoin.v1 import peer_service_pb2 as pb
from fedcoin.v1.peer_service_pb2_grpc import PeerServiceStub
from tests.support.keys import MINERS, STRANGER
from tests.support.node_core import make_network_genesis
from tests.support.peer_nodes import FAST, PeerNode, channel_to, introduction, running, visiting
from tests.support.waiting import until

NONCE = b"n" * 32
EVERY_METHOD = sorted(kind for kind in LIMITS if "Service/" in kind)


@pytest.fixture
async def node(tmp_path: Path) -> AsyncIterator[PeerNode]:
    made = PeerNode(tmp_path / "node", make_network_genesis(), MINERS[0])
    async with running(made):
        yield made


async def refused(call: Any, code: grpc.StatusCode, reason: str) -> str:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    assert (caught.value.code(), read_error_details(caught.value).reason) == (code, reason)
    return str(caught.value.details())


def hello(node: PeerNode, key: KeyPair = STRANGER, **changes: Any) -> pb.HelloRequest:
    message = introduction(node.genesis, key).message()
    for name, value in changes.items():
        setattr(message, name, value)
    return pb.HelloRequest(identity=message, nonce=NONCE, address=node.address)


async def test_the_server_proves_itself_and_a_session_opens_the_rest(node: PeerNode) -> None:
    async with visiting(node) as link:
        assert link.identity.node_key == MINERS[0].public_key
        assert link.identity.agent == "test/1"
        reply = await link.peers.Ping(pb.PingRequest(height=7), metadata=link.metadata)
        assert reply.height == 0
        assert node.peer(STRANGER).height == 7
        listed = await link.peers.ListPeers(pb.ListPeersRequest(), metadata=link.metadata)
        assert list(listed.peers) == []


async def test_clocks_are_compared(node: PeerNode) -> None:
    async with visiting(node) as link:
        assert node.peer(STRANGER).info(0.0).clock_difference_ms is None
        for ahead_ms in (90_000, -90_000):
            ping = pb.PingRequest(time_ms=unix_ms() + ahead_ms)
            reply = await link.peers.Ping(ping, metadata=link.metadata)
            assert abs(reply.time_ms - unix_ms()) < 30_000
            found = node.peer(STRANGER).info(0.0).clock_difference_ms
            assert found is not None
            assert abs(found - ahead_ms) < 30_000
        for unsaid in (0, -5, 1 << 62):
            await link.peers.Ping(pb.PingRequest(time_ms=unsaid), metadata=link.metadata)
            assert node.peer(STRANGER).info(0.0).clock_difference_ms == found


async def test_hello_is_refused_with_the_reason(node: PeerNode) -> None:
    cases: list[tuple[dict[str, Any], grpc.StatusCode, str]] = [
        ({"chain_id": "other"}, grpc.StatusCode.FAILED_PRECONDITION, "WRONG_CHAIN"),
        ({"genesis_hash": bytes(32)}, grpc.StatusCode.FAILED_PRECONDITION, "WRONG_GENESIS"),
        ({"protocol_version": 9}, grpc.StatusCode.FAILED_PRECONDITION, "WRONG_PROTOCOL"),
        ({"node_key": b"short"}, grpc.StatusCode.INVALID_ARGUMENT, "MALFORMED"),
        ({"listen_address": "x"}, grpc.StatusCode.INVALID_ARGUMENT, "BAD_HOST"),
    ]
    async with channel_to(node) as channel:
        for changes, status, reason in cases:
            call = PeerServiceStub(channel).Hello(hello(node, **changes))
            assert next(iter(changes)) in await refused(call, status, reason)
    assert not node.network.peers()


async def test_a_short_nonce_is_refused(node: PeerNode) -> None:
    async with channel_to(node) as channel:
        request = hello(node)
        request.nonce = b"n" * 31
        await refused(
            PeerServiceStub(channel).Hello(request), grpc.StatusCode.INVALID_ARGUMENT, "MALFORMED"
        )


async def test_a_node_signs_for_its_own_addresses_only(node: PeerNode) -> None:
    port = node.address.rpartition(":")[2]
    async with channel_to(node) as channel:
        stub = PeerServiceStub(channel)
        for address, status, reason in [
            (f"127.0.0.2:{port}", grpc.StatusCode.FAILED_PRECONDITION, "WRONG_ADDRESS"),
            ("127.0.0.1:1", grpc.StatusCode.FAILED_PRECONDITION, "WRONG_ADDRESS"),
            (f"node.example.org:{port}", grpc.StatusCode.FAILED_PRECONDITION, "WRONG_ADDRESS"),
            ("", grpc.StatusCode.INVALID_ARGUMENT, "BAD_HOST"),
        ]:
            request = hello(node)
            request.address = address
            await refused(stub.Hello(request), status, reason)


async def test_the_callers_side_checks_the_server_as_well(node: PeerNode) -> None:
    endpoint, security = parse_endpoint(node.address), Security(None, insecure=False)
    for other, code in [
        (introduction(make_network_genesis("other")), NetworkCode.WRONG_CHAIN),
        (introduction(make_network_genesis(time_ms=1_700_000_000_000)), NetworkCode.WRONG_GENESIS),
        (introduction(node.genesis, MINERS[0]), NetworkCode.SELF_CONNECTION),
    ]:
        with pytest.raises(RefusalError) as caught:
            await open_link(endpoint, other, security, 5.0)
        assert caught.value.code is code
        assert node.address in str(caught.value)
    with pytest.raises(RefusalError) as caught:
        await open_link(endpoint, introduction(node.genesis), security, 5.0, expected_key=b"k" * 32)
    assert caught.value.code is NetworkCode.WRONG_PEER


async def test_an_address_without_a_listener_is_named(node: PeerNode) -> None:
    nowhere = parse_endpoint("127.0.0.1:1")
    with pytest.raises(RefusalError, match=r"127\.0\.0\.1:1: cannot be reached") as caught:
        await open_link(nowhere, introduction(node.genesis), Security(None, insecure=False), 5.0)
    assert caught.value.code is NetworkCode.PEER_UNREACHABLE


async def proof(node: PeerNode, stub: Any) -> pb.AuthenticateRequest:
    """Say hello as the protocol asks; returns the proof for the second step."""
    answer = await stub.Hello(hello(node))
    keys = STRANGER.public_key, MINERS[0].public_key
    transcript = Transcript(node.genesis.hash, *keys, NONCE, answer.nonce, node.address)
    return pb.AuthenticateRequest(
        node_key=STRANGER.public_key,
        nonce=answer.nonce,
        signature=handshake.sign_proof(STRANGER, Role.CALLER, transcript),
    )


async def test_a_wrong_proof_gives_no_session(node: PeerNode) -> None:
    cases: list[tuple[dict[str, Any], grpc.StatusCode, str]] = [
        ({"signature": bytes(64)}, grpc.StatusCode.UNAUTHENTICATED, "BAD_PROOF"),
        ({"signature": b""}, grpc.StatusCode.INVALID_ARGUMENT, "MALFORMED"),
        ({"nonce": bytes(32)}, grpc.StatusCode.UNAUTHENTICATED, "BAD_NONCE"),
        ({"nonce": b""}, grpc.StatusCode.INVALID_ARGUMENT, "MALFORMED"),
        ({"node_key": MINERS[1].public_key}, grpc.StatusCode.UNAUTHENTICATED, "BAD_NONCE"),
    ]
    async with channel_to(node) as channel:
        stub = PeerServiceStub(channel)
        for changes, status, reason in cases:
            request = await proof(node, stub)
            for name, value in changes.items():
                setattr(request, name, value)
            await refused(stub.Authenticate(request), status, reason)
    assert not node.network.peers()


async def test_a_proof_works_once_and_from_its_own_connection(node: PeerNode) -> None:
    async with channel_to(node) as channel, channel_to(node) as other:
        stub = PeerServiceStub(channel)
        request = await proof(node, stub)
        session = (await stub.Authenticate(request)).session
        assert 1 <= len(session) <= 64
        await refused(stub.Authenticate(request), grpc.StatusCode.UNAUTHENTICATED, "BAD_NONCE")
        metadata = ((SESSION_METADATA, session),)
        await stub.Ping(pb.PingRequest(), metadata=metadata)
        # A session token from another connection is useless.
        elsewhere = PeerServiceStub(other).Ping(pb.PingRequest(), metadata=metadata)
        await refused(elsewhere, grpc.StatusCode.UNAUTHENTICATED, "NO_SESSION")


async def test_nothing_else_works_without_a_session(node: PeerNode) -> None:
    async with channel_to(node) as channel:
        for kind in EVERY_METHOD:
            if kind in WITHOUT_SESSION:
                continue
            for metadata in ((), ((SESSION_METADATA, "0" * 64),)):
                method: Any = channel.unary_unary(f"/fedcoin.v1.{kind}")
                call = method(b"", metadata=metadata)
                await refused(call, grpc.StatusCode.UNAUTHENTICATED, "NO_SESSION")


async def test_health_and_reflection_need_no_session(node: PeerNode) -> None:
    async with channel_to(node) as channel:
        stub = health_pb2_grpc.HealthStub(channel)
        for service in ("", "fedcoin.v1.PeerService", "fedcoin.v1.ConsensusService"):
            reply = await stub.Check(health_pb2.HealthCheckRequest(service=service))
            assert reply.status == health_pb2.HealthCheckResponse.SERVING


async def test_a_banned_peer_cannot_connect(node: PeerNode) -> None:
    async with visiting(node) as link:
        await node.network.ban(STRANGER.public_key, 60)
        assert not node.network.peers()
        ping = link.peers.Ping(pb.PingRequest(), metadata=link.metadata)
        await refused(ping, grpc.StatusCode.UNAUTHENTICATED, "NO_SESSION")
    with pytest.raises(RefusalError, match="banned for") as caught:
        async with visiting(node):
            pass
    assert caught.value.code is NetworkCode.BANNED
    async with channel_to(node) as channel:
        again = PeerServiceStub(channel).Hello(hello(node))
        await refused(again, grpc.StatusCode.PERMISSION_DENIED, "BANNED")


async def test_the_number_of_peers_is_limited(tmp_path: Path) -> None:
    node = PeerNode(
        tmp_path, make_network_genesis(), MINERS[0], options=replace(FAST, max_inbound=2)
    )
    async with running(node), visiting(node, MINERS[1]), visiting(node, MINERS[2]):
        with pytest.raises(RefusalError, match="2 inbound peers") as caught:
            async with visiting(node, MINERS[3]):
                pass
        assert caught.value.code is NetworkCode.NO_ROOM
        # A connected peer may connect again, because its connection may have broken.
        async with visiting(node, MINERS[1]):
            assert len(node.network.peers()) == 2


async def test_abuse_is_refused_counted_and_ends_in_a_ban(node: PeerNode) -> None:
    async with visiting(node) as link:
        reasons = []
        for _ in range(60):
            try:
                await link.peers.Ping(pb.PingRequest(), metadata=link.metadata)
                reasons.append("")
            except grpc.aio.AioRpcError as error:
                reasons.append(read_error_details(error).reason)
        assert reasons[0] == ""
        assert "RATE_LIMITED" in reasons
        assert reasons[-1] == "NO_SESSION"
    assert not node.network.peers()


async def test_malformed_and_oversized_messages_are_offences(node: PeerNode) -> None:
    async with visiting(node) as link:
        ping: Any = link.channel.unary_unary("/fedcoin.v1.PeerService/Ping")
        padded = b"\x12\x40" + bytes(64)
        for raw, status, reason in [
            (b"\xff\xff", grpc.StatusCode.INVALID_ARGUMENT, "MALFORMED"),
            (padded, grpc.StatusCode.RESOURCE_EXHAUSTED, "TOO_LARGE"),
        ]:
            await refused(ping(raw, metadata=link.metadata), status, reason)
        assert node.network.peers()[0].score == 50
        for _ in range(2):
            with pytest.raises(grpc.aio.AioRpcError):
                await ping(b"\xff", metadata=link.metadata)
        await until(lambda: not node.network.peers())
