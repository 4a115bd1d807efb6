"""The interceptor around every call of every listener.

Its steps, from the outside in:

1. **recorded**: the call gets an id; how it ended and how long it took is logged (debug);
2. **answered**: a `RefusalError` becomes its status with `ErrorInfo` and `BadRequest`; any other
   exception becomes INTERNAL with the call's id, and is logged as an error;
3. **limited**: calls a second of each host, calls and streams at once, a deadline for calls with a
   single reply; streams end when the listener stops, other calls when its grace period is over;
4. **guarded**: the listener's own guards, such as the peers' sessions;
5. **decoded**: bytes become a message, or a `RefusalError` MALFORMED; then the servicer's method
   runs, and each reply of a stream is written within `write_timeout_s`.

So a servicer only raises: it never ends a call itself, and nothing that a caller sends can put an
ERROR line into the log.

A call counts from its first byte, also while its request is on its way.

All steps are in one interceptor because each interceptor around a stream costs a generator step
for each message. Requests are decoded here because gRPC's library answers bytes that cannot be
decoded with INTERNAL and an ERROR line.
"""

from __future__ import annotations

import asyncio
import inspect
import logging
import secrets
import time
from collections.abc import (
    AsyncIterator,
    Awaitable,
    Callable,
    Sequence,
)
from contextlib import (
    AbstractAsyncContextManager,
    AsyncExitStack,
    aclosing,
    asynccontextmanager,
)
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

import grpc

from fedcoin.data.errors import RefusalError
from fedcoin.network.background_tasks import FailureListener
from fedcoin.network.call_limits import CallLimiter, CallLimits
from fedcoin.network.error_details import encode_refusal
from fedcoin.network.errors import NetworkCode
from fedcoin.network.interruption import Interruption, limit_time

if TYPE_CHECKING:
    CallContext: TypeAlias = grpc.aio.ServicerContext[Any, Any]
    RpcHandler: TypeAlias = grpc.RpcMethodHandler[Any, Any]
else:
    CallContext = grpc.aio.ServicerContext
    RpcHandler = grpc.RpcMethodHandler

logger = logging.getLogger(__name__)

_OWN_SERVICES = "/fedcoin."

# A status is sent after the replies that the caller has not read yet, which may never happen.
_STATUS_TIMEOUT_S = 5.0


@dataclass(frozen=True, slots=True)
class CallInfo:
    """One call, as the interceptor sees it."""

    id: str
    """Eight hex digits; the message of an INTERNAL error and the log name it."""
    method: str
    """The method's full name, such as `/fedcoin.v1.NodeService/GetStatus`."""
    caller: str
    """gRPC's name of the connection, such as `ipv4:10.0.0.7:51000`."""
    request_streaming: bool
    """Whether the method takes a stream of requests."""
    response_streaming: bool
    """Whether the method gives a stream of replies."""


CallGuard: TypeAlias = Callable[[CallInfo, CallContext], AbstractAsyncContextManager[None]]
"""A context manager around a call: it raises a RefusalError before the call, or cleans up after."""


class InterceptorChain(grpc.aio.ServerInterceptor):
    """The steps around each call of one listener, which the module's docstring lists.

    Methods with a stream of replies may be async generators, or coroutines that call
    `context.write`; only the former's writes have a time limit. Methods that take a stream must
    iterate over it, because `context.read` gives bytes.
    """

    def __init__(
        self,
        limits: CallLimits,
        guards: Sequence[CallGuard] = (),
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Begin without calls.

        Args:
            limits: The listener's limits.
            guards: Entered in this order around each call.
            clock: Gives the time in seconds and never goes back.
        """
        self._limits = limits
        self._limiter = CallLimiter(limits, clock)
        self._guards = tuple(guards)
        self._clock = clock
        self._stopping, self._ending = Interruption(), Interruption()
        self._on_failure: FailureListener | None = None

    def on_failure(self, listener: FailureListener) -> None:
        """Have a function called for each call that failed by a fault of this program or machine.

        Args:
            listener: Called with the method's name, the exception and False.
        """
        self._on_failure = listener

    def on_flood(self, listener: Callable[[str], None]) -> None:
        """Have a function called for refused calls of hosts that do not stop calling.

        Args:
            listener: Called with gRPC's name of the call's connection, which it may close.
        """
        self._limiter.on_flood = listener

    def stop(self) -> None:
        """End all streams of replies, and let none begin: the listener is about to stop.

        Calls with a single reply may finish within the grace period that the server gives them.
        """
        self._stopping.fire(_stopping)

    def end_calls(self) -> None:
        """End the calls with a single reply, too, so that their callers hear why: SHUTTING_DOWN."""
        self._ending.fire(_stopping)

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[RpcHandler | None]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> RpcHandler | None:
        """Wrap a method's handler in logging, limits, guards and decoding; gRPC calls this.

        Args:
            continuation: Looks the handler up.
            handler_call_details: The call's method.

        Returns:
            The wrapped handler; None, which gRPC answers with UNIMPLEMENTED, when
            there is no such method.
        """
        handler = await continuation(handler_call_details)
        return None if handler is None else self._wrapped(handler, str(handler_call_details.method))

    def _wrapped(self, handler: RpcHandler, method: str) -> RpcHandler:
        behaviour: Any = (
            handler.unary_unary
            or handler.unary_stream
            or handler.stream_unary
            or handler.stream_stream
        )
        decode = handler.request_deserializer or bytes

        def request_of(raw: Any) -> Any:
            if handler.request_streaming:
                if handler.request_deserializer is None and handler.response_streaming:
                    # Without decoding and time limit, a step for each message would only cost.
                    return raw
                return self._decoded_stream(decode, raw, may_pause=handler.response_streaming)
            return _decoded(decode, raw)

        def call_of(context: CallContext) -> CallInfo:
            return CallInfo(
                id=secrets.token_hex(4),
                method=method,
                caller=context.peer(),
                request_streaming=handler.request_streaming,
                response_streaming=handler.response_streaming,
            )

        async def received(requests: AsyncIterator[bytes]) -> Any:
            if handler.request_streaming:
                return request_of(requests)
            return request_of(await self._single_request(requests))

        async def single(requests: Any, context: CallContext) -> Any:
            async with self._around(call_of(context), context):
                return await behaviour(await received(requests), context)

        async def stream(requests: Any, context: CallContext) -> None:
            async with self._around(call_of(context), context):
                replies = behaviour(await received(requests), context)
                if inspect.isawaitable(replies):
                    await replies
                else:
                    await self._written(replies, context)

        make = (
            grpc.stream_stream_rpc_method_handler
            if handler.response_streaming
            else grpc.stream_unary_rpc_method_handler
        )
        # gRPC's library waits for the request of a call that takes a single one before it calls
        # the handler, and has no limit for that: calls without a request would pile up. Taken as a
        # stream, which is the same on the wire, a call is counted from its beginning.
        return make(
            stream if handler.response_streaming else single, None, handler.response_serializer
        )

    async def _single_request(self, requests: AsyncIterator[bytes]) -> bytes:
        async with limit_time(self._limits.request_timeout_s, self._limiter.late_request):
            async for raw in requests:
                return raw
        raise RefusalError(
            NetworkCode.MALFORMED, "The call ended without its request; send one.", field="request"
        )

    @asynccontextmanager
    async def _around(self, call: CallInfo, context: CallContext) -> AsyncIterator[None]:
        began = self._clock()
        try:
            answered = _answered(call, context, self._on_failure)
            async with answered, self._limited(call), AsyncExitStack() as stack:
                for guard in self._guards:
                    await stack.enter_async_context(guard(call, context))
                yield
        finally:
            logger.debug(
                "%s %s from %s: %s after %.1f ms",
                call.id,
                call.method,
                call.caller,
                context.code() or "OK",
                (self._clock() - began) * 1_000,
            )

    @asynccontextmanager
    async def _limited(self, call: CallInfo) -> AsyncIterator[None]:
        is_open = not call.method.startswith(_OWN_SERVICES)
        with self._limiter.admit(call.caller, call.response_streaming, is_open):
            ending = self._stopping if call.response_streaming else self._ending
            with ending.interruptible():
                if call.response_streaming or call.request_streaming:
                    yield
                    return
                async with limit_time(self._limits.reply_timeout_s, self._limiter.late_reply):
                    yield

    async def _written(self, replies: Any, context: CallContext) -> None:
        """Send each reply; a caller that does not read one in time is cut off."""
        async with aclosing(replies):
            async for reply in replies:
                async with limit_time(self._limits.write_timeout_s, self._limiter.slow_reader):
                    try:
                        await context.write(reply)
                    except grpc.aio.InternalError as error:
                        # The connection broke. gRPC cancels handlers of such calls, but a write
                        # may fail before it does.
                        raise asyncio.CancelledError from error

    async def _decoded_stream(
        self, decode: Callable[[bytes], Any], stream: AsyncIterator[bytes], *, may_pause: bool
    ) -> AsyncIterator[Any]:
        """Decode each request. Without `may_pause`, each has to come in time."""
        iterator = aiter(stream)
        while True:
            try:
                if may_pause:
                    raw = await anext(iterator)
                else:
                    async with limit_time(self._limits.read_timeout_s, self._limiter.silent_upload):
                        raw = await anext(iterator)
            except StopAsyncIteration:
                return
            yield _decoded(decode, raw)


@asynccontextmanager
async def _answered(
    call: CallInfo, context: CallContext, on_failure: FailureListener | None
) -> AsyncIterator[None]:
    try:
        yield
    except grpc.aio.AbortError:
        raise
    except RefusalError as refusal:
        await _abort(context, encode_refusal(refusal))
    except Exception as error:
        if isinstance(error, NotImplementedError) and _is_unimplemented(context):
            # Generated base classes answer methods that a servicer does not implement like this.
            await context.abort(grpc.StatusCode.UNIMPLEMENTED, f"{call.method} is not offered here")
        logger.exception("%s %s failed", call.id, call.method)
        if on_failure is not None:
            on_failure(call.method, error, False)
        await _abort_internal(call, context)


def _is_unimplemented(context: CallContext) -> bool:
    # grpc.aio returns the number of a code that was set, not the code.
    unimplemented = grpc.StatusCode.UNIMPLEMENTED
    return context.code() in (unimplemented, unimplemented.value[0])


def _stopping() -> RefusalError:
    message = "The server is stopping. Call again when it is back."
    return RefusalError(NetworkCode.SHUTTING_DOWN, message)


async def _abort_internal(call: CallInfo, context: CallContext) -> None:
    message = f"The server failed to answer, which is a bug; its log has the error under {call.id}."
    await asyncio.wait_for(context.abort(grpc.StatusCode.INTERNAL, message), _STATUS_TIMEOUT_S)


async def _abort(context: CallContext, status: grpc.Status) -> None:
    try:
        await asyncio.wait_for(
            context.abort(status.code, status.details, status.trailing_metadata),
            _STATUS_TIMEOUT_S,
        )
    except asyncio.TimeoutError:
        logger.debug("%s took no status", context.peer())


def _decoded(decode: Callable[[bytes], Any], raw: bytes) -> Any:
    try:
        return decode(raw)
    except Exception as error:
        raise RefusalError(
            NetworkCode.MALFORMED,
            f"The request's {len(raw)} bytes are not the message that this method takes.",
            field="request",
        ) from error


def with_behaviour(handler: RpcHandler, behaviour: Callable[..., Any]) -> RpcHandler:
    """Make a handler that runs another function and gets its requests as bytes.

    Args:
        handler: The handler whose shape (single or stream, both ways) and encoding of replies are
            taken over.
        behaviour: The function, called with the request's bytes (or an iterator over them) and the
            call's context.

    Returns:
        A handler that passes requests on without decoding them, and encodes replies as before.
    """
    make = {
        (False, False): grpc.unary_unary_rpc_method_handler,
        (False, True): grpc.unary_stream_rpc_method_handler,
        (True, False): grpc.stream_unary_rpc_method_handler,
        (True, True): grpc.stream_stream_rpc_method_handler,
    }[handler.request_streaming, handler.response_streaming]
    return make(behaviour, None, handler.response_serializer)
