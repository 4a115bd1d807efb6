"""What happens around every call on every listener: one chain, in one place.

::

        bytes of a request
          |
          v
    +-- recorded ------------------------------------------------------------------+
    |   gives the call an id and logs how it ended and how long it took (debug)    |
    |  +-- answered ------------------------------------------------------------+  |
    |  |   Refusal            -> its status, with ErrorInfo and BadRequest      |  |
    |  |   anything else      -> INTERNAL with the call's id; logged as error   |  |
    |  |  +-- bounded -------------------------------------------------------+  |  |
    |  |  |   calls per second and caller, calls and streams at once; a      |  |  |
    |  |  |   deadline for single replies; streams end when the node stops   |  |  |
    |  |  |  +-- the listener's own guards (a session, say) --------------+  |  |  |
    |  |  |  |  +-- decoded -------------------------------------------+  |  |  |  |
    |  |  |  |  |   bytes -> message, else a Refusal MALFORMED         |  |  |  |  |
    |  |  |  |  |             the servicer's method                    |  |  |  |  |
    |  |  |  |  |   replies of a stream: each within write_seconds     |  |  |  |  |
    |  |  |  |  +------------------------------------------------------+  |  |  |  |

A servicer therefore only raises: it never aborts, never catches what it did not expect, and
nothing that an outsider sends can put an ERROR line in the log.

The chain is one interceptor and not five, because each wrapper around a stream costs a
generator step for each message. Bytes are decoded here, since gRPC answers undecodable
ones with INTERNAL and an ERROR line.
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

# A status waits behind what the caller has not read yet; not for ever.
_STATUS_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class CallInfo:
    """One call, as the chain knows it."""

    id: str
    """Eight hex digits; an INTERNAL error names it, and so does the log."""
    method: str
    """Such as ``/fedcoin.v1.NodeService/GetStatus``."""
    caller: str
    """gRPC's name of the connection, such as ``ipv4:10.0.0.7:51000``."""
    request_streaming: bool
    response_streaming: bool


CallGuard: TypeAlias = Callable[[CallInfo, CallContext], AbstractAsyncContextManager[None]]
"""Something around a call: raises a Refusal before it, or cleans up after it."""


class InterceptorChain(grpc.aio.ServerInterceptor):
    """The chain that the module's comment draws. One for each listener.

    Handlers that stream replies may be async generators or coroutines that call
    ``context.write``; only the former's writes are bounded. Handlers that take a stream must
    iterate it: ``context.read`` would give bytes.
    """

    def __init__(
        self,
        bounds: CallLimits,
        guards: Sequence[CallGuard] = (),
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._bounds = bounds
        self._limiter = CallLimiter(bounds, clock)
        self._guards = tuple(guards)
        self._clock = clock
        self._stopping = Interruption()

    def stop(self) -> None:
        """End all streams of replies, and let none begin: the listener is about to stop.

        Calls with a single reply may finish, within the grace that the server gives them.
        """
        self._stopping.fire(_stopping)

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[RpcHandler | None]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> RpcHandler | None:
        """Wrap the handler; None (UNIMPLEMENTED) stays None."""
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
                return self._decoded_stream(decode, raw, patient=handler.response_streaming)
            return _decoded(decode, raw)

        def call_of(context: CallContext) -> CallInfo:
            return CallInfo(
                id=secrets.token_hex(4),
                method=method,
                caller=context.peer(),
                request_streaming=handler.request_streaming,
                response_streaming=handler.response_streaming,
            )

        async def single(raw: Any, context: CallContext) -> Any:
            async with self._around(call_of(context), context):
                return await behaviour(request_of(raw), context)

        async def stream(raw: Any, context: CallContext) -> None:
            async with self._around(call_of(context), context):
                replies = behaviour(request_of(raw), context)
                if inspect.isawaitable(replies):
                    await replies
                else:
                    await self._written(replies, context)

        return with_behaviour(handler, stream if handler.response_streaming else single)

    @asynccontextmanager
    async def _around(self, call: CallInfo, context: CallContext) -> AsyncIterator[None]:
        async with AsyncExitStack() as stack:
            await stack.enter_async_context(self._recorded(call, context))
            await stack.enter_async_context(_answered(call, context))
            await stack.enter_async_context(self._bounded(call))
            for guard in self._guards:
                await stack.enter_async_context(guard(call, context))
            yield

    @asynccontextmanager
    async def _recorded(self, call: CallInfo, context: CallContext) -> AsyncIterator[None]:
        began = self._clock()
        try:
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
    async def _bounded(self, call: CallInfo) -> AsyncIterator[None]:
        with self._limiter.admit(call.caller, call.response_streaming):
            if call.response_streaming:
                with self._stopping.watched():
                    yield
            elif call.request_streaming:
                yield
            else:
                async with limit_time(self._bounds.reply_seconds, self._limiter.late):
                    yield

    async def _written(self, replies: Any, context: CallContext) -> None:
        """Send each reply; who does not take one in time is cut off."""
        async with aclosing(replies):
            async for reply in replies:
                async with limit_time(self._bounds.write_seconds, self._limiter.slow_reader):
                    await context.write(reply)

    async def _decoded_stream(
        self, decode: Callable[[bytes], Any], stream: AsyncIterator[bytes], *, patient: bool
    ) -> AsyncIterator[Any]:
        """Decode each request. Where both sides stream, silence is allowed."""
        iterator = aiter(stream)
        while True:
            try:
                if patient:
                    raw = await anext(iterator)
                else:
                    async with limit_time(self._bounds.read_seconds, self._limiter.slow_writer):
                        raw = await anext(iterator)
            except StopAsyncIteration:
                return
            yield _decoded(decode, raw)


@asynccontextmanager
async def _answered(call: CallInfo, context: CallContext) -> AsyncIterator[None]:
    try:
        yield
    except grpc.aio.AbortError:
        raise
    except RefusalError as refusal:
        await _abort(context, encode_refusal(refusal))
    except Exception as error:
        if isinstance(error, NotImplementedError) and _is_unimplemented(context):
            # What a generated servicer does for a method that nobody wrote.
            await context.abort(grpc.StatusCode.UNIMPLEMENTED, f"{call.method} is not offered here")
        logger.exception("%s %s failed", call.id, call.method)
        await _abort_internal(call, context)


def _is_unimplemented(context: CallContext) -> bool:
    # grpc.aio gives back the number of a code that was set, and not the code.
    unimplemented = grpc.StatusCode.UNIMPLEMENTED
    return context.code() in (unimplemented, unimplemented.value[0])


def _stopping() -> RefusalError:
    message = "The node is stopping. Call again when it is back."
    return RefusalError(NetworkCode.SHUTTING_DOWN, message)


async def _abort_internal(call: CallInfo, context: CallContext) -> None:
    message = f"The node failed to answer; its log tells why under {call.id}."
    await asyncio.wait_for(context.abort(grpc.StatusCode.INTERNAL, message), _STATUS_SECONDS)


async def _abort(context: CallContext, status: grpc.Status) -> None:
    try:
        await asyncio.wait_for(
            context.abort(status.code, status.details, status.trailing_metadata),
            _STATUS_SECONDS,
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
    """A handler of the same shape, whose requests come as bytes."""
    make = {
        (False, False): grpc.unary_unary_rpc_method_handler,
        (False, True): grpc.unary_stream_rpc_method_handler,
        (True, False): grpc.stream_unary_rpc_method_handler,
        (True, True): grpc.stream_stream_rpc_method_handler,
    }[handler.request_streaming, handler.response_streaming]
    return make(behaviour, None, handler.response_serializer)
