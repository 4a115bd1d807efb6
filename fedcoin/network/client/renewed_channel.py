"""A channel whose certificates may change while it is in use.

A gRPC channel keeps the credentials with which it was made. A program that runs for months, such as
a coordinator or an explorer, outlives its certificates and sometimes its authority. Here a new call
goes over a new channel once the credentials have changed. Calls in flight end on the channel on
which they began, which is closed after the last of them.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from types import TracebackType
from typing import Any, Final, Protocol, TypeAlias

import grpc

CHECK_INTERVAL_S: Final = 1.0
"""How often a channel in use asks for its credentials at most, in seconds."""


class CredentialsSource(Protocol):
    """Gives the current TLS credentials of a caller."""

    def channel_credentials(self) -> grpc.ChannelCredentials:
        """Return the current credentials: the same object until they change."""


Credentials: TypeAlias = grpc.ChannelCredentials | CredentialsSource
"""TLS credentials that stay as they are, or a source of the current ones."""


class RenewedChannel(grpc.aio.Channel):
    """A channel that begins each call with the current credentials.

    It has the interface of `grpc.aio.Channel`. Use it in one event loop.
    """

    def __init__(
        self,
        source: CredentialsSource,
        dial: Callable[[grpc.ChannelCredentials], grpc.aio.Channel],
        *,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """Make the first channel. Nothing is dialled before the first call.

        Args:
            source: Gives the credentials; it is asked before a call, and at most once in
                `CHECK_INTERVAL_S`.
            dial: Makes a channel with some credentials.
            monotonic: Gives a time in seconds that never goes back.
        """
        self._source = source
        self._dial = dial
        self._monotonic = monotonic
        self._is_closed = False
        self._credentials = source.channel_credentials()
        self._checked_at = monotonic()
        self._present = _CountedChannel(dial(self._credentials))
        self._replaced: set[_CountedChannel] = set()

    def present(self) -> _CountedChannel:
        """Return the channel for a new call, which is another one when the credentials changed."""
        now = self._monotonic()
        if self._is_closed or now - self._checked_at < CHECK_INTERVAL_S:
            return self._present
        self._checked_at = now
        credentials = self._source.channel_credentials()
        if credentials is not self._credentials:
            self._credentials = credentials
            self._forget_closed()
            self._replaced.add(self._present)
            self._present.close_when_idle()
            self._present = _CountedChannel(self._dial(credentials))
        return self._present

    def _forget_closed(self) -> None:
        self._replaced = {one for one in self._replaced if not one.is_closed}

    async def close(self, grace: float | None = None) -> None:
        """Close all channels.

        Args:
            grace: How long calls in flight are waited for before they are cancelled, in seconds;
                None cancels them at once.
        """
        self._is_closed = True
        every = (self._present, *self._replaced)
        await asyncio.gather(*(one.channel.close(grace) for one in every))
        self._replaced.clear()

    async def __aenter__(self) -> RenewedChannel:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.close()

    def get_state(self, try_to_connect: bool = False) -> grpc.ChannelConnectivity:
        """Return the state of the present channel's connection.

        Args:
            try_to_connect: Whether to dial when there is no connection.

        Returns:
            The state.
        """
        return self.present().channel.get_state(try_to_connect)

    async def wait_for_state_change(self, last_observed_state: grpc.ChannelConnectivity) -> None:
        """Wait until the present channel's connection is in another state.

        Args:
            last_observed_state: The state to leave.
        """
        await self.present().channel.wait_for_state_change(last_observed_state)

    async def channel_ready(self) -> None:
        """Wait until the present channel is connected."""
        await self.present().channel.channel_ready()

    def unary_unary(self, *signature: Any, **options: Any) -> Any:
        """Return a method with one request and one reply.

        Args:
            signature: As `grpc.aio.Channel.unary_unary` takes it.
            options: As that takes them.

        Returns:
            The method, to be called as often as needed.
        """
        return _RenewedMethod(self, lambda one: one.unary_unary(*signature, **options))

    def unary_stream(self, *signature: Any, **options: Any) -> Any:
        """Return a method with one request and a stream of replies.

        Args:
            signature: As `grpc.aio.Channel.unary_stream` takes it.
            options: As that takes them.

        Returns:
            The method, to be called as often as needed.
        """
        return _RenewedMethod(self, lambda one: one.unary_stream(*signature, **options))

    def stream_unary(self, *signature: Any, **options: Any) -> Any:
        """Return a method with a stream of requests and one reply.

        Args:
            signature: As `grpc.aio.Channel.stream_unary` takes it.
            options: As that takes them.

        Returns:
            The method, to be called as often as needed.
        """
        return _RenewedMethod(self, lambda one: one.stream_unary(*signature, **options))

    def stream_stream(self, *signature: Any, **options: Any) -> Any:
        """Return a method with a stream of requests and a stream of replies.

        Args:
            signature: As `grpc.aio.Channel.stream_stream` takes it.
            options: As that takes them.

        Returns:
            The method, to be called as often as needed.
        """
        return _RenewedMethod(self, lambda one: one.stream_stream(*signature, **options))


class _CountedChannel:
    """A channel that counts its calls in flight, so that it can be closed after the last one."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self.channel = channel
        self.is_closed = False
        self._num_calls = 0
        self._is_replaced = False
        self._closing: asyncio.Task[None] | None = None

    def count(self, call: Any) -> Any:
        self._num_calls += 1
        call.add_done_callback(self._end_call)
        return call

    def close_when_idle(self) -> None:
        self._is_replaced = True
        self._close_if_idle()

    def _end_call(self, call: object) -> None:
        self._num_calls -= 1
        self._close_if_idle()

    def _close_if_idle(self) -> None:
        if self._is_replaced and not self._num_calls and self._closing is None:
            self._closing = asyncio.ensure_future(self._close())

    async def _close(self) -> None:
        await self.channel.close(None)
        self.is_closed = True


class _RenewedMethod:
    """A method of a service, which is called on the current channel."""

    def __init__(
        self, channel: RenewedChannel, bind: Callable[[grpc.aio.Channel], Callable[..., Any]]
    ) -> None:
        self._channel = channel
        self._bind = bind
        self._bound_to: _CountedChannel | None = None
        self._method: Callable[..., Any] | None = None

    def __call__(self, *arguments: Any, **options: Any) -> Any:
        present = self._channel.present()
        if self._method is None or present is not self._bound_to:
            self._bound_to, self._method = present, self._bind(present.channel)
        return present.count(self._method(*arguments, **options))
