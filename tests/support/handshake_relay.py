"""A machine in the middle: it passes one node's handshake on to another node, and then misbehaves.

The relay listens at an address of its own. What a caller's handshake says reaches the target as if
the caller had dialled it, and the target's answers reach the caller. If both nodes accept, the
relay holds a session of the caller at the target, and abuses it to get the caller banned there.
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import grpc

from fedcoin.network.error_details import read_error_details
from fedcoin.network.interceptors import CallContext, RpcHandler
from fedcoin.network.peer_options import SESSION_METADATA
from fedcoin.network.peers.connections.node_addresses import parse_node_address
from fedcoin.network.peers.connections.security import Security
from fedcoin.v1.peer_service_pb2 import AuthenticateResponse, HelloRequest

PLAINTEXT = Security(None, insecure=False)
SERVICE = "fedcoin.v1.PeerService"
NUM_ABUSES = 8
"""Malformed calls in the caller's name: more than a peer may make before it is banned."""


class HandshakeRelay:
    """Passes handshakes on to a target. Use `relaying_to`, which starts and stops it.

    Args:
        target: The address of the node that handshakes are passed on to, as host:port, or over TLS
            as key@host:port.
        claimed_address: The address that callers shall seem to have dialled; empty passes on what
            they sent.
        security: The relay's own certificate, or plaintext.

    Attributes:
        address: The relay's own address, as host:port.
        refusals: The codes with which the target refused what was passed on.
        sessions: The sessions that the target gave to the relay.
    """

    def __init__(
        self, target: str, claimed_address: str = "", security: Security = PLAINTEXT
    ) -> None:
        self.address = ""
        self.refusals: list[str] = []
        self.sessions: list[str] = []
        self._target = target
        self._claimed_address = claimed_address
        self._security = security
        self._channel: grpc.aio.Channel | None = None
        self._server = grpc.aio.server()

    async def start(self) -> None:
        """Listen on a free port of the loopback interface."""
        target = parse_node_address(self._target)
        self._channel = self._security.channel(target.endpoint, target.node_key)
        methods: dict[str, RpcHandler] = {
            "Hello": grpc.unary_unary_rpc_method_handler(self._hello),
            "Authenticate": grpc.unary_unary_rpc_method_handler(self._authenticate),
        }
        handler = grpc.method_handlers_generic_handler(SERVICE, methods)
        self._server.add_generic_rpc_handlers((handler,))
        credentials = self._security.server_credentials()
        if credentials is None:
            port = self._server.add_insecure_port("127.0.0.1:0")
        else:
            port = self._server.add_secure_port("127.0.0.1:0", credentials)
        self.address = f"127.0.0.1:{port}"
        await self._server.start()

    async def stop(self) -> None:
        """Stop listening, and leave the target."""
        await self._server.stop(None)
        if self._channel is not None:
            await self._channel.close()

    async def _hello(self, raw: bytes, context: CallContext) -> bytes:
        request = HelloRequest.FromString(raw)
        if self._claimed_address:
            request.address = self._claimed_address
        return await self._pass_on("Hello", request.SerializeToString(), context)

    async def _authenticate(self, raw: bytes, context: CallContext) -> bytes:
        reply = await self._pass_on("Authenticate", raw, context)
        session = AuthenticateResponse.FromString(reply).session
        self.sessions.append(session)
        for _ in range(NUM_ABUSES):
            with contextlib.suppress(grpc.aio.AioRpcError):
                await self._method("Ping")(b"\xff", metadata=((SESSION_METADATA, session),))
        return reply

    async def _pass_on(self, method: str, raw: bytes, context: CallContext) -> bytes:
        try:
            reply: bytes = await self._method(method)(raw)
        except grpc.aio.AioRpcError as error:
            self.refusals.append(read_error_details(error).reason)
            details, metadata = error.details() or "", tuple(error.trailing_metadata())
            await context.abort(error.code(), details, metadata)
            raise
        return reply

    def _method(self, name: str) -> Any:
        assert self._channel is not None, "the relay was started"
        return self._channel.unary_unary(f"/{SERVICE}/{name}")


@asynccontextmanager
async def relaying_to(
    target: str, claimed_address: str = "", security: Security = PLAINTEXT
) -> AsyncIterator[HandshakeRelay]:
    """Run a relay while the `with` block runs.

    Args:
        target: The address of the node that handshakes are passed on to, as host:port, or over TLS
            as key@host:port.
        claimed_address: The address that callers shall seem to have dialled; empty passes on what
            they sent.
        security: The relay's own certificate, or plaintext.

    Yields:
        The relay.
    """
    relay = HandshakeRelay(target, claimed_address, security)
    await relay.start()
    try:
        yield relay
    finally:
        await relay.stop()
