"""The base of all clients: calls with deadlines, whose every failure is an `RpcError`.

gRPC's library has many ways to say that a call failed. The most harmful one is a cancellation:
closing a channel cancels the calls on it, and the coroutine that awaits such a call is told that
*it* was cancelled, so that a background task would end for good because one peer was
disconnected. Here each step of a call runs in a task of its own, whose cancellation is an error
like any other; a cancellation of the caller itself still comes through.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import (
    AsyncGenerator,
    AsyncIterable,
    AsyncIterator,
    Awaitable,
    Callable,
    Coroutine,
    Sequence,
)
from contextlib import aclosing
from types import TracebackType
from typing import Any, Generic, TypeVar, cast

import grpc
from grpc import StatusCode
from grpc_health.v1 import health_pb2, health_pb2_grpc

from fedcoin.network.background_tasks import run_within
from fedcoin.network.client.backoff import Backoff
from fedcoin.network.client.rpc_error import RpcError, rpc_error_of
from fedcoin.network.errors import NetworkCode

C = TypeVar("C", bound="GrpcClient")
S = TypeVar("S", bound="ReplyStream[Any]")
T = TypeVar("T")

Metadata = Sequence[tuple[str, str]]

DEFAULT_TIMEOUT_S = 15.0
"""The deadline of a call with a single reply, where the caller gives none."""

_SLACK_S = 1.0
"""How much longer than its deadline a call is waited for: gRPC's own deadline comes first."""

_POLL_S = 0.1
_HEALTH_CHECK_S = 2.0
_PAGE_ITEMS = 100
_FIRST_PAUSE_S, _MAX_PAUSE_S = 0.1, 2.0


class ReplyStream(Generic[T]):
    """The replies of one call, to be read one by one or with `async for`.

    As a context manager it cancels the call at the end.
    """

    def __init__(self, call: Any, target: str) -> None:
        """Read from a call.

        Args:
            call: gRPC's call object.
            target: The address that was called, for errors.
        """
        self._call = call
        self._target = target

    def __enter__(self: S) -> S:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._call.cancel()

    async def read(self, timeout: float | None = None) -> T | None:
        """Wait for the next reply.

        Args:
            timeout: How long to wait, in seconds; None waits for ever.

        Returns:
            The reply; None after the last one.

        Raises:
            RpcError: The server ended the call with an error or went away; DEADLINE_EXCEEDED when
                nothing came in time.
        """
        reply = await _finish(self._call.read(), timeout, self._target)
        return None if reply is grpc.aio.EOF else cast("T", reply)

    async def __aiter__(self) -> AsyncIterator[T]:
        """Yield each reply; RpcError as in `read`."""
        while (reply := await self.read()) is not None:
            yield reply


class DuplexStream(ReplyStream[T]):
    """A call with a stream of requests and a stream of replies."""

    async def write(self, request: T) -> None:
        """Send a request; waits while the server does not take it.

        Args:
            request: The message to send, of the method's request type.

        Raises:
            RpcError: The call has ended; `read` gives the server's reason.
        """
        await _finish(self._call.write(request), None, self._target)

    async def done_writing(self) -> None:
        """Tell the server that no further request follows.

        Raises:
            RpcError: The call has ended; `read` gives the server's reason.
        """
        await _finish(self._call.done_writing(), None, self._target)


class GrpcClient:
    """A channel to one server. Use it as an async context manager, or `close` it."""

    def __init__(
        self,
        target: str,
        channel: grpc.aio.Channel,
        *,
        timeout: float = DEFAULT_TIMEOUT_S,
        metadata: Metadata = (),
    ) -> None:
        """Wrap an open channel.

        Args:
            target: The address that the channel leads to; every error names it.
            channel: The channel, which is closed with the client.
            timeout: The deadline of a call with a single reply, in seconds, where the call itself
                gives none.
            metadata: Sent with every call.
        """
        self.target = target
        self.channel = channel
        self.timeout = timeout
        self.metadata = tuple(metadata)

    async def __aenter__(self: C) -> C:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the channel. Calls that are under way fail with CANCELLED."""
        await self.channel.close(None)

    async def wait_until_serving(self, timeout: float = DEFAULT_TIMEOUT_S) -> None:
        """Wait until the server's health service says SERVING.

        Args:
            timeout: How long to wait, in seconds.

        Raises:
            RpcError: NOT_SERVING when the server answers but does not serve yet, or what the last
                attempt failed with.
        """
        deadline = time.monotonic() + timeout
        check = health_pb2_grpc.HealthStub(self.channel).Check
        last = RpcError(
            StatusCode.UNAVAILABLE,
            NetworkCode.NOT_SERVING.name,
            "is not serving yet",
            target=self.target,
        )
        while (left := deadline - time.monotonic()) > 0:
            try:
                request = health_pb2.HealthCheckRequest()
                reply = await self.call(check, request, timeout=min(left, _HEALTH_CHECK_S))
                if reply.status == health_pb2.HealthCheckResponse.SERVING:
                    return
            except RpcError as error:
                last = error
            await asyncio.sleep(_POLL_S)
        raise last

    async def call(
        self, method: Callable[..., Awaitable[T]], request: object, *, timeout: float | None = None
    ) -> T:
        """Make a call with one request and one reply.

        Args:
            method: A method of a stub on this client's channel.
            request: The message to send, of the method's request type.
            timeout: The deadline in seconds; None takes the client's.

        Returns:
            The decoded reply, of the method's reply type.

        Raises:
            RpcError: The server refused, cannot be reached, or did not answer in time.
        """
        seconds = self.timeout if timeout is None else timeout

        async def work() -> T:
            return await method(request, metadata=self.metadata, timeout=seconds)

        return await _finish(work(), seconds + _SLACK_S, self.target)

    async def call_with_stream(
        self, method: Callable[..., Any], requests: AsyncIterator[object], *, timeout: float
    ) -> Any:
        """Make a call with a stream of requests and one reply.

        Args:
            method: A method of a stub on this client's channel.
            requests: The requests. They are no longer asked for once the server has ended the
                call.
            timeout: The deadline of the whole call, in seconds.

        Returns:
            The decoded reply, of the method's reply type.

        Raises:
            RpcError: The server refused, cannot be reached, or did not answer in time.
        """
        call = self._start(method, metadata=self.metadata, timeout=timeout)

        async def reply() -> Any:
            return await call

        try:
            try:
                async for request in requests:
                    await _finish(call.write(request), None, self.target)
                await _finish(call.done_writing(), None, self.target)
            except RpcError:
                pass  # the server has ended the call; its status says why
            return await _finish(reply(), timeout + _SLACK_S, self.target)
        finally:
            call.cancel()

    def open_stream(
        self, method: Callable[..., AsyncIterable[T]], request: object
    ) -> ReplyStream[T]:
        """Begin a call with a stream of replies, which has no deadline as a whole.

        Args:
            method: A method of a stub on this client's channel.
            request: The message to send, of the method's request type.

        Returns:
            The stream; use it as a context manager, so that the call ends with it.

        Raises:
            RpcError: The channel is closed.
        """
        return ReplyStream(self._start(method, request, metadata=self.metadata), self.target)

    def open_duplex(self, method: Callable[..., Any]) -> DuplexStream[Any]:
        """Begin a call with a stream in each direction, which has no deadline.

        Args:
            method: A method of a stub on this client's channel.

        Returns:
            The stream; use it as a context manager, so that the call ends with it.

        Raises:
            RpcError: The channel is closed.
        """
        return DuplexStream(self._start(method, metadata=self.metadata), self.target)

    async def stream(
        self, method: Callable[..., AsyncIterable[T]], request: object
    ) -> AsyncGenerator[T, None]:
        """Make a call with a stream of replies, which has no deadline.

        Args:
            method: A method of a stub on this client's channel.
            request: The message to send, of the method's request type.

        Yields:
            Each reply.

        Raises:
            RpcError: The server refused, went away, or ended the stream with an error.
        """
        with self.open_stream(method, request) as replies:
            async for reply in replies:
                yield reply

    async def list_all(
        self, method: Callable[..., Awaitable[Any]], request: Any, field: str, limit: int
    ) -> list[Any]:
        """Read a list page by page.

        Args:
            method: A method whose request has `page_size` and `page_token`, and whose reply has
                `next_page_token`.
            request: The request; its page fields are set here.
            field: The reply's field that holds the items.
            limit: How many items to read at most.

        Returns:
            The first `limit` items.

        Raises:
            RpcError: A page could not be read.
        """
        items: list[Any] = []
        while len(items) < limit:
            request.page_size = min(limit - len(items), _PAGE_ITEMS)
            reply = await self.call(method, request)
            items.extend(getattr(reply, field))
            request.page_token = reply.next_page_token
            if not request.page_token:
                break
        return items[:limit]

    def _start(self, method: Callable[..., Any], *arguments: object, **options: object) -> Any:
        try:
            return method(*arguments, **options)
        except grpc.aio.UsageError as error:
            raise _unavailable(error, self.target) from error


async def resume_stream(
    open_stream: Callable[[], AsyncGenerator[T, None]], patience: float
) -> AsyncGenerator[T, None]:
    """Read a stream, and open it again when it is lost.

    Args:
        open_stream: Opens the stream so that it goes on after the last reply that was yielded.
        patience: For how many seconds without a reply the stream is opened again.

    Yields:
        The replies of all streams.

    Raises:
        RpcError: The server refused the stream, or could not be reached for `patience` seconds.
    """
    heard = time.monotonic()
    backoff = Backoff(_FIRST_PAUSE_S, _MAX_PAUSE_S)
    while True:
        try:
            async with aclosing(open_stream()) as replies:
                async for reply in replies:
                    backoff.reset()
                    yield reply
                    heard = time.monotonic()
            return
        except RpcError as error:
            if not error.is_lost or time.monotonic() - heard >= patience:
                raise
        await asyncio.sleep(backoff.next_pause())


async def _finish(work: Coroutine[Any, Any, T], seconds: float | None, target: str) -> T:
    """Await one step of a call, and turn whatever goes wrong into an `RpcError`."""
    try:
        return await run_within(seconds, work)
    except asyncio.TimeoutError:
        message = f"did not answer in time (nothing came for {seconds:g} s)"
        raise RpcError(
            StatusCode.DEADLINE_EXCEEDED, "DEADLINE_EXCEEDED", message, target=target
        ) from None
    except grpc.aio.AioRpcError as error:
        raise rpc_error_of(error, target) from None
    except (grpc.aio.UsageError, grpc.aio.InternalError, asyncio.InvalidStateError) as error:
        raise _unavailable(error, target) from error
    except ConnectionAbortedError:
        message = "the connection was closed on this side"
        raise RpcError(StatusCode.CANCELLED, "CANCELLED", message, target=target) from None


def _unavailable(error: Exception, target: str) -> RpcError:
    return RpcError(StatusCode.UNAVAILABLE, "UNAVAILABLE", str(error), target=target)
