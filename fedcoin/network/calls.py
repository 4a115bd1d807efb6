"""Calls to others that end in one of two ways: a reply, or `CallFailed`.

gRPC has many ways to say that a call came to nothing. The worst is a cancellation: closing a
channel cancels the calls on it, and whoever awaits one is told that *he* was cancelled, so
that a background task would end for good because one peer was hung up on. Here each step of
a call runs in a task of its own, whose cancellation is an error like any other.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Sequence
from typing import Any, TypeVar

import grpc

from fedcoin.network.status import details_of
from fedcoin.network.tasks import within

T = TypeVar("T")

Metadata = Sequence[tuple[str, str]]

SLACK_S = 1.0
"""How much longer than its deadline a call is waited for: gRPC's own deadline comes first."""

_LOST = frozenset(
    {
        grpc.StatusCode.UNAVAILABLE,
        grpc.StatusCode.DEADLINE_EXCEEDED,
        grpc.StatusCode.CANCELLED,
        grpc.StatusCode.INTERNAL,
        grpc.StatusCode.UNKNOWN,
    }
)


class CallError(Exception):
    """A call had no reply: the other side refused it, is gone, or too slow.

    `reason` is the refusal's code where the other side told one (``RATE_LIMITED``).
    """

    def __init__(self, code: grpc.StatusCode, message: str, reason: str = "") -> None:
        super().__init__(f"{code.name}: {message}")
        self.code = code
        self.reason = reason

    @property
    def lost(self) -> bool:
        """True when the other side said nothing: another try may help."""
        return self.code in _LOST


async def ask(method: Any, request: object, timeout_s: float, metadata: Metadata = ()) -> Any:
    """Make a call with one reply on a multi-callable of a stub. Raises `CallFailed`."""

    async def call() -> Any:
        return await method(request, metadata=tuple(metadata), timeout=timeout_s)

    return await step(call(), timeout_s + SLACK_S)


def open_stream(method: Any, request: object, metadata: Metadata = ()) -> Any:
    """Begin a call with many replies; read it with ``step(call.read(), seconds)``.

    Raises `CallFailed` when the channel is closed. Cancel the call when done with it.
    """
    try:
        return method(request, metadata=tuple(metadata))
    except grpc.aio.UsageError as error:
        raise CallError(grpc.StatusCode.UNAVAILABLE, str(error)) from error


async def step(work: Coroutine[Any, Any, T], seconds: float) -> T:
    """One step of a call, within so many seconds. Raises `CallFailed`."""
    try:
        return await within(seconds, work)
    except asyncio.TimeoutError:
        raise CallError(
            grpc.StatusCode.DEADLINE_EXCEEDED, f"nothing came for {seconds:g} s"
        ) from None
    except grpc.aio.AioRpcError as error:
        raise CallError(
            error.code(), (error.details() or "")[:300], details_of(error).reason
        ) from error
    except (grpc.aio.UsageError, grpc.aio.InternalError, asyncio.InvalidStateError) as error:
        raise CallError(grpc.StatusCode.UNAVAILABLE, str(error)) from error
    except ConnectionAbortedError:
        raise CallError(grpc.StatusCode.CANCELLED, "the connection was closed") from None
