"""One channel to one server, on which every error becomes an `RpcFailure`."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterable, Awaitable, Callable
from contextlib import aclosing
from types import TracebackType
from typing import Any, TypeVar, cast

import grpc
from grpc import StatusCode
from grpc_health.v1 import health_pb2, health_pb2_grpc

from fedcoin.network.api.failure import RpcError, failure_of
from fedcoin.network.options import API_MESSAGE_BYTES, channel_options

L = TypeVar("L", bound="Link")
T = TypeVar("T")

_FIRST_PAUSE = 0.1
_LONGEST_PAUSE = 2.0


class Link:
    """A gRPC channel with a deadline for each call.

    ``target`` is ``host:port`` or ``unix:/path``; ``timeout`` is for single replies, in
    seconds. Nothing is dialled before the first call. An async context manager.
    """

    def __init__(
        self,
        target: str,
        *,
        timeout: float = 15.0,
        credentials: grpc.ChannelCredentials | None = None,
    ) -> None:
        options = channel_options(API_MESSAGE_BYTES)
        self.target = target
        self.timeout = timeout
        self.channel = (
            grpc.aio.insecure_channel(target, options=options)
            if credentials is None
            else grpc.aio.secure_channel(target, credentials, options=options)
        )

    async def __aenter__(self: L) -> L:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Hang up; calls that are under way are cancelled."""
        await self.channel.close(None)

    async def ready(self, timeout: float = 15.0) -> None:
        """Wait until the server says that it serves. Raises RpcFailure after `timeout` seconds."""
        deadline = time.monotonic() + timeout
        check = health_pb2_grpc.HealthStub(self.channel).Check
        failure = RpcError(
            StatusCode.UNAVAILABLE, "NOT_SERVING", "is not serving yet", target=self.target
        )
        while (left := deadline - time.monotonic()) > 0:
            try:
                reply = await check(health_pb2.HealthCheckRequest(), timeout=min(left, 2.0))
                if reply.status == health_pb2.HealthCheckResponse.SERVING:
                    return
            except grpc.aio.AioRpcError as error:
                failure = failure_of(error, self.target)
            await asyncio.sleep(_FIRST_PAUSE)
        raise failure

    async def call(
        self, method: Callable[..., Awaitable[T]], request: object, *, timeout: float | None = None
    ) -> T:
        """One request, one reply. Raises RpcFailure."""
        try:
            return await method(request, timeout=self.timeout if timeout is None else timeout)
        except grpc.aio.AioRpcError as error:
            raise failure_of(error, self.target) from None

    async def stream(
        self, method: Callable[..., AsyncIterable[T]], request: object
    ) -> AsyncGenerator[T, None]:
        """One request, a stream of replies without a deadline. Raises RpcFailure."""
        replies = cast("Any", method(request))
        try:
            async for reply in replies:
                yield reply
        except grpc.aio.AioRpcError as error:
            raise failure_of(error, self.target) from None
        finally:
            replies.cancel()

    async def pages(
        self, method: Callable[..., Awaitable[Any]], request: Any, field: str, limit: int
    ) -> list[Any]:
        """The first `limit` items of a list, page by page. Raises RpcFailure."""
        items: list[Any] = []
        while len(items) < limit:
            request.page_size = min(limit - len(items), 100)
            reply = await self.call(method, request)
            items.extend(getattr(reply, field))
            request.page_token = reply.next_page_token
            if not request.page_token:
                break
        return items[:limit]


async def resumed(
    open_stream: Callable[[], AsyncGenerator[T, None]], patience: float
) -> AsyncGenerator[T, None]:
    """A stream that is opened again when it is lost, for `patience` seconds without a reply.

    `open_stream` must begin where the last reply ended. Raises RpcFailure.
    """
    heard = time.monotonic()
    pause = _FIRST_PAUSE
    while True:
        try:
            async with aclosing(open_stream()) as replies:
                async for reply in replies:
                    pause = _FIRST_PAUSE
                    yield reply
                    heard = time.monotonic()
            return
        except RpcError as failure:
            if not failure.lost or time.monotonic() - heard >= patience:
                raise
        await asyncio.sleep(pause)
        pause = min(2 * pause, _LONGEST_PAUSE)
