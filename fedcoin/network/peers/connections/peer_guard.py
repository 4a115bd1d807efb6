"""The checks in front of every call from a peer.

    bytes of a call to fedcoin.v1
      session       of this connection, else NO_SESSION (Hello and Authenticate need none)
      rate          of this peer and method, else RATE_LIMITED
      calls         of this method that run at once, else TOO_MANY_CALLS
      size          of each message, else TOO_LARGE
      decoding      else MALFORMED
      the method

A refusal, by a check or by the method, that an honest peer cannot cause counts as an offence. The
guard runs inside the listener's `InterceptorChain`, which turns refusals into statuses; it decodes
requests in place of the chain. Reflection and health are open to all callers and not guarded.
"""

from __future__ import annotations

import inspect
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from types import MappingProxyType
from typing import Any, cast

import grpc
from google.protobuf.message import DecodeError

from fedcoin.data.errors import RefusalError
from fedcoin.data.lru import LruDict
from fedcoin.network.errors import NetworkCode
from fedcoin.network.host_groups import observed_host
from fedcoin.network.interceptors import CallContext, RpcHandler, with_behaviour
from fedcoin.network.peers.connections.peer_set import PeerSet
from fedcoin.network.peers.protection.limits import Meter, check_size
from fedcoin.network.peers.protection.reputation import Offence

PREFIX = "/fedcoin.v1."
"""What precedes a service's name in the full name of a method."""
WITHOUT_SESSION = frozenset({"PeerService/Hello", "PeerService/Authenticate"})
"""The methods that a caller may call before it has a session: those of the handshake."""
MAX_HOSTS = 1024
"""The number of hosts without a session whose calls are counted; the one that called longest ago is
forgotten."""

OFFENCES: Mapping[str, Offence] = MappingProxyType(
    {
        "MALFORMED": Offence.MALFORMED,
        "TOO_LARGE": Offence.TOO_LARGE,
        "RATE_LIMITED": Offence.TOO_FAST,
        "TOO_MANY_CALLS": Offence.TOO_FAST,
        "SLOW_READER": Offence.SLOW,
        "BAD_SIGNATURE": Offence.BAD_SIGNATURE,
        "BAD_CHUNK": Offence.BAD_CHUNK,
    }
)
"""The codes, of any layer, with which no call of an honest peer is refused."""


class PeerGuard:
    """Puts the checks of this module in front of services.

    Args:
        peers: The connected peers.
    """

    def __init__(self, peers: PeerSet) -> None:
        self._peers = peers
        self._hosts: LruDict[str, Meter] = LruDict(MAX_HOSTS)

    def before(self, server: grpc.aio.Server) -> grpc.aio.Server:
        """Wrap a gRPC server, to guard the services that are added through the wrapper.

        Args:
            server: The gRPC server.

        Returns:
            The wrapper. Pass it, not the server, to the generated `add_..._to_server` functions.
        """
        return cast("grpc.aio.Server", _Registrar(server, self._guarded))

    def _guarded(self, handler: RpcHandler, kind: str) -> RpcHandler:
        behaviour: Any = (
            handler.unary_unary
            or handler.unary_stream
            or handler.stream_unary
            or handler.stream_stream
        )

        def request_of(raw: Any) -> Any:
            if handler.request_streaming:
                return _checked_stream(handler, kind, raw)
            return _checked(handler, kind, raw)

        async def single(raw: Any, context: CallContext) -> Any:
            with self._admitted(kind, context):
                return await behaviour(request_of(raw), context)

        async def stream(raw: Any, context: CallContext) -> AsyncIterator[Any]:
            with self._admitted(kind, context):
                replies = behaviour(request_of(raw), context)
                if inspect.isawaitable(replies):
                    await replies
                    return
                async for reply in replies:
                    yield reply

        return with_behaviour(handler, stream if handler.response_streaming else single)

    @contextmanager
    def _admitted(self, kind: str, context: CallContext) -> Iterator[None]:
        if kind in WITHOUT_SESSION:
            meter = self._hosts.get_or_create(
                self._peers.hosts.group_of(observed_host(context.peer())), Meter
            )
            meter.spend(kind, self._peers.now())
            with meter.call(kind):
                yield
            return
        peer = self._peers.caller(context)
        try:
            peer.meter.spend(kind, self._peers.now())
            with peer.meter.call(kind):
                yield
        except RefusalError as refusal:
            offence = OFFENCES.get(refusal.code.name)
            if offence is not None:
                self._peers.punish(peer, offence, f"{kind}: {refusal}")
            raise


def _checked(handler: RpcHandler, kind: str, raw: bytes) -> Any:
    check_size(kind, len(raw))
    decode = handler.request_deserializer
    if decode is None:
        return raw
    try:
        return decode(raw)
    except DecodeError:
        raise RefusalError(
            NetworkCode.MALFORMED,
            f"{kind}: these {len(raw)} bytes are not a request of this method",
            field="request",
        ) from None


async def _checked_stream(
    handler: RpcHandler, kind: str, stream: AsyncIterator[bytes]
) -> AsyncIterator[Any]:
    async for raw in stream:
        yield _checked(handler, kind, raw)


class _Registrar:
    """A server as the generated `add_..._to_server` functions see it."""

    def __init__(
        self, server: grpc.aio.Server, guard: Callable[[RpcHandler, str], RpcHandler]
    ) -> None:
        self._server = server
        self._guard = guard

    def add_generic_rpc_handlers(self, handlers: Iterable[grpc.GenericRpcHandler]) -> None:
        self._server.add_generic_rpc_handlers([_Guarded(one, self._guard) for one in handlers])

    def add_registered_method_handlers(self, service: str, handlers: object) -> None:
        """Do nothing: grpc.aio does not use registered methods."""


class _Guarded(grpc.GenericRpcHandler):
    def __init__(
        self, inner: grpc.GenericRpcHandler, guard: Callable[[RpcHandler, str], RpcHandler]
    ) -> None:
        self._inner = inner
        self._guard = guard
        self._handlers: dict[str, RpcHandler] = {}

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> RpcHandler | None:
        method = str(handler_call_details.method)
        known = self._handlers.get(method)
        if known is None:
            handler = self._inner.service(handler_call_details)
            if handler is None:
                return None
            known = self._handlers[method] = self._guard(handler, method.removeprefix(PREFIX))
        return known
