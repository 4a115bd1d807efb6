"""In place of gRPC: channels that carry serialised messages between nodes of one event loop.

A message leaves when the sender's line is free, arrives after the delay between both cities, and is
handled when the receiver's processor is free. The services behind the channels are the product's.
"""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import grpc

from fedcoin.network.peer_options import SESSION_METADATA
from fedcoin.network.peers.connections.link import EXCHANGE
from fedcoin.network.peers.gossip.consensus_messages import split
from fedcoin.testing.scale_simulation.world_latencies import one_way_seconds

FRAME_BYTES = 60
"""What each message takes beside its content, in bytes: headers of TCP and IP (40), of HTTP/2 (9)
and of gRPC (5), and a share of acknowledgements."""

_KINDS = {0x0A: "proposal", 0x12: "vote", 0x1A: "status", 0x22: "hints"}


@dataclass
class Machine:
    """What the messages of one node share: its line, its processor, and the counts of both."""

    # The node's number, which decides where it is.
    number: int
    # How much its line carries in each direction, in bytes a second.
    line_bytes_per_second: float
    # How long its processor works on each message of the consensus stream, in seconds.
    work_seconds: float
    line_free_at: float = 0.0
    free_at: float = 0.0
    sent_bytes: int = 0
    # How many messages it sent, by method; messages of the consensus stream also by their kind.
    sent: Counter[str] = field(default_factory=Counter)


class Wire:
    """One direction of one connection. What is sent arrives in order."""

    def __init__(self, sender: Machine, receiver: Machine) -> None:
        """Connect two machines.

        Args:
            sender: The node that sends.
            receiver: The node that receives.
        """
        self._sender = sender
        self._receiver = receiver
        self._delay = one_way_seconds(sender.number, receiver.number)
        self._under_way: deque[tuple[int, Callable[[], None]]] = deque()
        self._waiting: deque[Callable[[], None]] = deque()

    def send(self, method: str, raw: bytes, deliver: Callable[[], None]) -> None:
        """Send a message.

        Args:
            method: What it is counted as.
            raw: Its bytes.
            deliver: Called when the receiver handles it.
        """
        sender = self._sender
        num_bytes = len(raw) + FRAME_BYTES
        sender.sent[method] += 1
        sender.sent_bytes += num_bytes
        pieces = split(raw) if method == EXCHANGE else ()
        for piece in pieces:
            sender.sent[kind_of(piece)] += 1
        loop = asyncio.get_running_loop()
        sender.line_free_at = max(sender.line_free_at, loop.time()) + (
            num_bytes / sender.line_bytes_per_second
        )
        self._under_way.append((len(pieces), deliver))
        loop.call_at(sender.line_free_at + self._delay, self._arrive)

    def _arrive(self) -> None:
        num_pieces, deliver = self._under_way.popleft()
        receiver, loop = self._receiver, asyncio.get_running_loop()
        work = num_pieces * receiver.work_seconds
        if not work:
            deliver()
            return
        receiver.free_at = max(receiver.free_at, loop.time()) + work
        self._waiting.append(deliver)
        loop.call_at(receiver.free_at, self._handle)

    def _handle(self) -> None:
        self._waiting.popleft()()


def kind_of(piece: bytes) -> str:
    """Name the kind of a message of the consensus stream.

    Args:
        piece: A serialised `ExchangeRequest` with one message.

    Returns:
        `vote`, `proposal`, `hints` or `status`.
    """
    # Behind the field's tag is the length, a varint; behind that the tag of the kind.
    index = 1
    while piece[index] & 0x80:
        index += 1
    return _KINDS[piece[index + 1]]


@dataclass(frozen=True)
class _CallDetails:
    method: str
    invocation_metadata: tuple[tuple[str, str], ...] = ()


class SimulatedServer:
    """Finds the product's handler of each method; servicers are added as to a server of gRPC."""

    def __init__(self, machine: Machine) -> None:
        """Begin without services.

        Args:
            machine: The node's line and processor.
        """
        self.machine = machine
        self._generic: list[Any] = []

    def add_generic_rpc_handlers(self, handlers: Sequence[Any]) -> None:
        """Implement `grpc.aio.Server.add_generic_rpc_handlers`: add the handlers of a service."""
        self._generic += handlers

    def add_registered_method_handlers(self, service: str, handlers: Any) -> None:
        """Implement `grpc.aio.Server.add_registered_method_handlers`: all are generic, too."""

    def find(self, method: str) -> Any:
        """Find the handler of a method.

        Args:
            method: The method's full name, such as `/fedcoin.v1.PeerService/Ping`.

        Returns:
            gRPC's method handler.
        """
        found = (handler.service(_CallDetails(method)) for handler in self._generic)
        return next(handler for handler in found if handler is not None)


class SimulatedContext:
    """What a servicer sees of a call."""

    def __init__(self, metadata: Any, write: Callable[[bytes], None] | None = None) -> None:
        """Describe a call.

        Args:
            metadata: The call's metadata, with the caller's session.
            write: Sends a message of a stream to the caller.
        """
        self._metadata = metadata
        self._write = write

    def invocation_metadata(self) -> Any:
        """Return the metadata that the caller sent."""
        return self._metadata

    def peer(self) -> str:
        """Return the name of the connection, which is that of its session."""
        sessions = [str(value) for key, value in self._metadata if key == SESSION_METADATA]
        return sessions[0]

    async def send_initial_metadata(self, metadata: Any) -> None:
        """Implement `grpc.aio.ServicerContext.send_initial_metadata`: nothing is sent."""

    async def write(self, raw: bytes) -> None:
        """Send a message of a stream to the caller.

        Args:
            raw: The serialised message.
        """
        assert self._write is not None, "only streams are written to"
        self._write(raw)


class SimulatedStream:
    """A call with a stream in each direction, as gRPC's `StreamStreamCall`."""

    def __init__(self, channel: SimulatedChannel, method: str, metadata: Any) -> None:
        """Begin the call.

        Args:
            channel: Leads to the server.
            method: The method's full name.
            metadata: The call's metadata.
        """
        self._channel = channel
        self._method = method
        self._requests: asyncio.Queue[bytes] = asyncio.Queue()
        self._replies: asyncio.Queue[bytes] = asyncio.Queue()
        context = SimulatedContext(metadata, self._reply)
        serve = channel.server.find(method).stream_stream
        self._serving = asyncio.ensure_future(serve(self._read_requests(), context))

    async def read(self) -> bytes:
        """Wait for the server's next message."""
        return await self._replies.get()

    async def write(self, raw: bytes) -> None:
        """Send a message to the server.

        Args:
            raw: The serialised message.
        """
        self._channel.there.send(self._method, raw, lambda: self._requests.put_nowait(raw))

    def cancel(self) -> None:
        """End the call on both sides."""
        self._serving.cancel()

    def _reply(self, raw: bytes) -> None:
        self._channel.back.send(self._method, raw, lambda: self._replies.put_nowait(raw))

    async def _read_requests(self) -> AsyncIterator[bytes]:
        while True:
            yield await self._requests.get()


class SimulatedChannel:
    """A channel to one node, as `grpc.aio.Channel`, for the stubs of the product."""

    def __init__(self, caller: Machine, server: SimulatedServer) -> None:
        """Connect a node with a server.

        Args:
            caller: The node that calls.
            server: The services of the other node.
        """
        self.server = server
        self.there = Wire(caller, server.machine)
        self.back = Wire(server.machine, caller)

    def unary_unary(
        self, method: str, request_serializer: Any, response_deserializer: Any, **options: Any
    ) -> Any:
        """Implement `grpc.aio.Channel.unary_unary`: make calls with one request and one reply."""

        async def call(request: Any, *, metadata: Any, timeout: float) -> Any:
            handler = self.server.find(method)
            request = await self._carry(self.there, method, request_serializer(request))
            context = SimulatedContext(metadata)
            reply = await handler.unary_unary(handler.request_deserializer(request), context)
            raw = await self._carry(self.back, method, handler.response_serializer(reply))
            return response_deserializer(raw)

        return call

    def unary_stream(
        self, method: str, request_serializer: Any, response_deserializer: Any, **options: Any
    ) -> Any:
        """Implement `grpc.aio.Channel.unary_stream`: make calls with a stream of replies."""

        def call(request: Any, *, metadata: Any, timeout: float | None = None) -> _ReplyCall:
            replies = self._stream(
                method, request_serializer(request), response_deserializer, metadata
            )
            return _ReplyCall(replies)

        return call

    def stream_unary(self, method: str, *_serializers: Any, **options: Any) -> Any:
        """Implement `grpc.aio.Channel.stream_unary`: peers have no such method."""

    def stream_stream(self, method: str, *_serializers: Any, **options: Any) -> Any:
        """Implement `grpc.aio.Channel.stream_stream`: begin calls of serialised messages."""
        return lambda metadata: SimulatedStream(self, method, metadata)

    async def close(self, grace: float | None = None) -> None:
        """Implement `grpc.aio.Channel.close`: streams end with their tasks."""

    async def _carry(self, wire: Wire, method: str, raw: bytes) -> bytes:
        arrived: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()

        def deliver() -> None:
            if not arrived.done():
                arrived.set_result(raw)

        wire.send(method, raw, deliver)
        return await arrived

    async def _stream(
        self, method: str, raw: bytes, deserialize: Any, metadata: Any
    ) -> AsyncIterator[Any]:
        handler = self.server.find(method)
        request = handler.request_deserializer(await self._carry(self.there, method, raw))
        async for reply in handler.unary_stream(request, SimulatedContext(metadata)):
            sent = handler.response_serializer(reply)
            yield deserialize(await self._carry(self.back, method, sent))


class _ReplyCall:
    """A call with a stream of replies, as gRPC's `UnaryStreamCall`."""

    def __init__(self, replies: AsyncIterator[Any]) -> None:
        self._replies = replies

    async def read(self) -> Any:
        async for reply in self._replies:
            return reply
        return grpc.aio.EOF

    def cancel(self) -> None:
        """Nothing is left behind: no reply is made before it is asked for."""
