"""A gRPC server on one address, with limits, interceptor, health and reflection.

Every listener (a node's for peers, API and operator; a coordinator's) is one of these, so that none
is without them.
"""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import grpc

from fedcoin.data.errors import RefusalError
from fedcoin.network import health
from fedcoin.network.background_tasks import BackgroundTasks, FailureListener
from fedcoin.network.call_limits import CallLimits
from fedcoin.network.connection_shares.connection_watch import ConnectionWatch
from fedcoin.network.errors import NetworkCode
from fedcoin.network.grpc_options import API_MESSAGE_BYTES, server_options
from fedcoin.network.health import ListenerHealth
from fedcoin.network.interceptors import CallGuard, InterceptorChain
from fedcoin.network.reflection import add_reflection

# The length of `sun_path` in Linux's sockaddr_un (108 bytes), less the closing zero.
_MAX_SOCKET_PATH_BYTES: Final = 107

# Watchers of the health service get NOT_SERVING before their stream ends.
_FAREWELL_S: Final = 0.05
_ANSWERS_S: Final = 0.25
"""How long before the end of the grace period the last calls are answered, in seconds."""


@dataclass(frozen=True, slots=True)
class Service:
    """A gRPC service, and how its servicer is added to a server."""

    name: str
    """The full name, such as `fedcoin.v1.NodeService`."""
    add: Callable[[grpc.aio.Server], None]
    """Adds the servicer, usually by calling the generated `add_..._to_server`."""


class Listener:
    """A server on one address.

    Call in this order: `start` binds and answers, with health NOT_SERVING; `set_serving` when
    everything behind it works; `stop`.
    """

    def __init__(
        self,
        address: str,
        services: Sequence[Service],
        *,
        setting: str = "listen",
        limits: CallLimits | None = None,
        guards: Sequence[CallGuard] = (),
        max_message_bytes: int = API_MESSAGE_BYTES,
        credentials: grpc.ServerCredentials | None = None,
    ) -> None:
        """Prepare a server; nothing is bound yet.

        Args:
            address: `host:port`, where port 0 takes a free one, or `unix:/path`.
            services: The services; health and reflection are added to them.
            setting: The setting that holds the address, such as `api.listen`, which refusals name.
            limits: The limits on calls; None takes the default limits.
            guards: Entered in this order around each call.
            max_message_bytes: The longest message that is sent or received, in bytes.
            credentials: TLS, or None for plaintext.
        """
        self._requested = address
        self._setting = setting
        self._bound = ""
        self._services = tuple(services)
        self._credentials = credentials
        limits = limits or CallLimits()
        self._limits = limits
        self._tasks = BackgroundTasks("listener")
        self._interceptor = InterceptorChain(limits, guards)
        self._health = ListenerHealth(service.name for service in services)
        self._server = grpc.aio.server(
            interceptors=[self._interceptor],
            options=list(server_options(max_message_bytes, limits.max_connections)),
            # Above the interceptor's limits, since it also counts health and reflection, and since
            # calls beyond it get no code that explains the refusal.
            maximum_concurrent_rpcs=2 * (limits.max_calls + limits.max_streams),
        )

    @property
    def address(self) -> str:
        """Where it listens: `host:port` with the real port once it has started, or `unix:/path`."""
        return self._bound or self._requested

    async def start(self) -> None:
        """Bind and begin to answer; health says NOT_SERVING.

        Raises:
            RefusalError: BAD_HOST when the address is not `host:port`; PORT_IN_USE when it cannot
                be bound; BAD_PATH when a socket's path is longer than the system allows.
        """
        for service in self._services:
            service.add(self._server)
        await self._health.add_to(self._server)
        add_reflection(self._server, [*(s.name for s in self._services), health.SERVICE])
        self._bound = self._bind()
        await self._server.start()
        share = self._limits.max_connections_of_host
        if share is not None and not self._bound.startswith("unix:"):
            watch = ConnectionWatch(int(self._bound.rpartition(":")[2]), share, self._limits.hosts)
            self._interceptor.on_flood(watch.cut)
            self._tasks.keep_running(watch.run, name="connections")

    def on_failure(self, listener: FailureListener) -> None:
        """Have a function called for each call that failed by a fault of this program or machine.

        Args:
            listener: Called with the method's name, the exception and False.
        """
        self._interceptor.on_failure(listener)

    async def set_serving(self) -> None:
        """Have the health service say SERVING."""
        await self._health.set_serving()

    async def set_voting(self, is_voting: bool) -> None:
        """Have the health service say SERVING, or NOT_SERVING while a vote is overdue.

        Args:
            is_voting: False while a vote is overdue.
        """
        await (self._health.set_serving() if is_voting else self._health.set_not_serving())

    async def set_not_serving(self) -> None:
        """Have the health service answer NOT_SERVING until the process ends.

        For a node that is about to stop: load balancers then send it no further calls.
        """
        await self._health.set_stopping()

    async def stop(self, grace: float = 1.0) -> None:
        """Say NOT_SERVING, end streams, let calls finish, and close.

        Calls that do not finish in time fail with SHUTTING_DOWN.

        Args:
            grace: How long calls may take to finish, in seconds.
        """
        await self._health.set_stopping()
        await self._tasks.stop()
        await asyncio.sleep(_FAREWELL_S)
        self._interceptor.stop()
        loop = asyncio.get_running_loop()
        ending = loop.call_later(max(0.0, grace - _ANSWERS_S), self._interceptor.end_calls)
        await self._server.stop(grace)
        ending.cancel()
        self._remove_socket()

    def _bind(self) -> str:
        if self._requested.startswith("unix:"):
            return self._bind_socket(self._requested.removeprefix("unix:"))
        host, _, port = self._requested.rpartition(":")
        if not host or not port.isdecimal() or int(port) > 65535:
            raise RefusalError(
                NetworkCode.BAD_HOST,
                f"{self._requested!r} is not host:port; write it like 127.0.0.1:7051",
                field=self._setting,
            )
        return f"{host}:{self._add_port(self._requested)}"

    def _bind_socket(self, path: str) -> str:
        if len(os.fsencode(path)) > _MAX_SOCKET_PATH_BYTES:
            raise RefusalError(
                NetworkCode.BAD_PATH,
                f"the socket's path {path} has {len(os.fsencode(path))} bytes; the system allows "
                f"{_MAX_SOCKET_PATH_BYTES}. Choose a shorter home folder.",
                field=self._setting,
                limit=str(_MAX_SOCKET_PATH_BYTES),
            )
        # With this mask the socket is never open to others, not even for a moment.
        mask = os.umask(0o177)
        try:
            self._add_port(f"unix:{path}")
        finally:
            os.umask(mask)
        return f"unix:{path}"

    def _remove_socket(self) -> None:
        if self._bound.startswith("unix:"):
            Path(self._bound.removeprefix("unix:")).unlink(missing_ok=True)

    def _add_port(self, address: str) -> int:
        try:
            if self._credentials is None:
                return self._server.add_insecure_port(address)
            return self._server.add_secure_port(address, self._credentials)
        except RuntimeError as error:
            raise RefusalError(
                NetworkCode.PORT_IN_USE,
                f"cannot listen on {address} ({_reason(address) or error}): stop the program that "
                f"uses it, or set {self._setting} to another address",
                field=self._setting,
                limit=address,
            ) from error


def find_bind_error(host: str, port: int) -> str:
    """Try whether a port can be listened on, and say why not.

    Args:
        host: An address of this machine, or its name; an IPv6 address without brackets.
        port: The TCP port, 1 to 65535.

    Returns:
        The system's reason, such as `Address already in use`; empty when the port is free.
    """
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        family, _, _, _, address = found[0]
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
            # On Linux, only this refuses a port that another socket listens on.
            probe.listen(1)
    except OSError as error:
        return error.strerror or str(error)
    return ""


def _reason(address: str) -> str:
    # gRPC says only that it failed.
    if address.startswith("unix:"):
        return ""
    host, _, port = address.rpartition(":")
    return find_bind_error(host.strip("[]"), int(port))
