"""Random bytes to every RPC of the peers' listener end with a proper status and no log entry."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import grpc
import pytest

from fedcoin.data.crypto.keys import KeyPair
from fedcoin.network.peers.protection.limits import LIMITS
from tests.support.keys import MINERS
from tests.support.node_core import make_network_genesis
from tests.support.peer_nodes import PeerNode, running, visiting

METHODS = sorted(kind for kind in LIMITS if "Service/" in kind)
CLEAN = {
    grpc.StatusCode.OK,
    grpc.StatusCode.INVALID_ARGUMENT,
    grpc.StatusCode.UNAUTHENTICATED,
    grpc.StatusCode.PERMISSION_DENIED,
    grpc.StatusCode.FAILED_PRECONDITION,
    grpc.StatusCode.RESOURCE_EXHAUSTED,
    grpc.StatusCode.OUT_OF_RANGE,
    grpc.StatusCode.NOT_FOUND,
    grpc.StatusCode.UNIMPLEMENTED,
    grpc.StatusCode.UNAVAILABLE,
}


def junk(source: random.Random) -> bytes:
    """Return noise, or bytes that begin like a message."""
    noise = source.randbytes(source.choice((0, 1, 2, 7, 40, 300, 5000)))
    shape = source.randrange(4)
    if shape == 0:
        return noise
    if shape == 1:
        return b"\x0a" + bytes([len(noise) % 128]) + noise
    if shape == 2:
        return b"\x08" + noise[:8]
    return bytes(source.choice((0x0A, 0x12, 0x1A)) for _ in range(source.randrange(6))) + noise


async def outcome(call: Any) -> grpc.StatusCode:
    """Read until the call ends; returns its status."""
    try:
        while await asyncio.wait_for(call.read(), 0.5) is not grpc.aio.EOF:
            pass
    except grpc.aio.AioRpcError:
        pass
    except asyncio.TimeoutError:
        # A stream that stays open is correct.
        call.cancel()
        return grpc.StatusCode.OK
    code: grpc.StatusCode = await call.code()
    return code


async def test_junk_in_any_call(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    node = PeerNode(tmp_path / "node", make_network_genesis(), MINERS[0])
    with caplog.at_level(logging.WARNING):
        async with running(node):
            for method in METHODS:
                await throw_junk(node, method)
            async with visiting(node, MINERS[1]):
                assert node.peer(MINERS[1]).agent == "stranger/1"
    assert not [record for record in caplog.records if record.levelno >= logging.ERROR]


async def throw_junk(node: PeerNode, method: str) -> None:
    source = random.Random(method)
    for attempt in range(3):
        # Each sender is banned soon, so the next one uses another key.
        key = KeyPair.from_seed(source.randbytes(32))
        async with visiting(node, key) as link:
            stream: Any = link.channel.stream_stream(f"/fedcoin.v1.{method}")
            for _ in range(5):
                messages = [junk(source) for _ in range(source.randrange(1, 4))]
                call = stream(iter_of(messages), metadata=link.metadata if attempt else ())
                code = await outcome(call)
                said = await call.details()
                # The client's own error for a call that ended while it was still writing.
                own = said == "Internal error from Core"
                assert own or code in CLEAN, (method, code, messages, said)


async def iter_of(messages: list[bytes]) -> AsyncIterator[bytes]:
    for message in messages:
        yield message


async def test_bytes_that_are_not_http_are_survived(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    node = PeerNode(tmp_path / "node", make_network_genesis(), MINERS[0])
    async with running(node):
        host, port = node.address.split(":")
        for raw in (b"\x16\x03\x01garbage", b"GET / HTTP/1.1\r\n\r\n", random.randbytes(5000)):
            reader, writer = await asyncio.open_connection(host, int(port))
            writer.write(raw)
            await asyncio.wait_for(reader.read(), 5)
            writer.close()
            await writer.wait_closed()
        async with visiting(node, MINERS[1]):
            assert len(node.network.peers()) == 1
    assert not [record for record in caplog.records if record.levelno >= logging.ERROR]


async def test_unknown_methods(tmp_path: Path) -> None:
    node = PeerNode(tmp_path / "node", make_network_genesis(), MINERS[0])
    async with running(node), visiting(node) as link:
        for method in ("/fedcoin.v1.PeerService/Nothing", "/fedcoin.v1.Other/Ping", "/x", "//"):
            call: Any = link.channel.unary_unary(method)
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await call(b"", metadata=link.metadata)
            assert caught.value.code() is grpc.StatusCode.UNIMPLEMENTED
