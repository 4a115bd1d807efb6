"""One gRPC server put together: socket, bounds, interceptors, health and reflection.

Every listener of a node (peers, API, operator, coordinator) is one of these, so that none
can come without health, reflection and the chain around its calls.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import grpc

from fedcoin.data.errors import RefusalError
from fedcoin.network import health
from fedcoin.network.call_limits import CallLimits
from fedcoin.network.errors import NetworkCode
from fedcoin.network.health import ListenerHealth
from fedcoin.network.interceptors import CallGuard, InterceptorChain
from fedcoin.network.options import API_MESSAGE_BYTES, server_options
from fedcoin.network.reflection import add_reflection

# What the kernel allows in a sockaddr_un, the closing zero not counted.
_MAX_SOCKET_PATH: Final = 107

# For those who watch the health: they hear NOT_SERVING before their stream ends.
_FAREWELL_SECONDS: Final = 0.05


@dataclass(frozen=True, slots=True)
class Service:
    """A servicer, and how it gets onto a server."""

    name: str
    """Full name, such as ``fedcoin.v1.NodeService``."""
    add: Callable[[grpc.aio.Server], None]
    """Adds the servicer, usually by the generated ``add_..._to_server``."""


class Listener:
    """A server on one address: ``host:port`` (0 takes a free port) or ``unix:/path``.

    In order: `start` binds and answers, with health NOT_SERVING; `serving` is called when
    everything behind it works; `stop` says so, ends streams, lets calls finish, and closes.
    """

    def __init__(
        self,
        address: str,
        services: Sequence[Service],
        *,
        bounds: CallLimits | None = None,
        guards: Sequence[CallGuard] = (),
        max_message_bytes: int = API_MESSAGE_BYTES,
        credentials: grpc.ServerCredentials | None = None,
    ) -> None:
        self._asked = address
        self._bound = ""
        self._services = tuple(services)
        self._credentials = credentials
        bounds = bounds or CallLimits()
        self._chain = InterceptorChain(bounds, guards)
        self._health = ListenerHealth(service.name for service in services)
        self._server = grpc.aio.server(
            interceptors=[self._chain],
            options=list(server_options(max_message_bytes)),
            # Beyond the chain's own bounds; health and reflection count as well.
            maximum_concurrent_rpcs=2 * (bounds.calls + bounds.streams),
        )

    @property
    def address(self) -> str:
        """Where it listens: ``host:port`` with the real port, or ``unix:/path``."""
        return self._bound or self._asked

    async def start(self) -> None:
        """Bind and begin to answer.

        Refusal PORT_IN_USE when the address is taken, BAD_HOST when it cannot be had, BAD_PATH
        when a socket's path is too long.
        """
        for service in self._services:
            service.add(self._server)
        await self._health.add_to(self._server)
        add_reflection(self._server, [*(s.name for s in self._services), health.SERVICE])
        self._bound = self._bind()
        await self._server.start()

    async def set_serving(self) -> None:
        """Tell callers of the health service that everything works."""
        await self._health.set_serving()

    async def stop(self, grace: float = 1.0) -> None:
        """Say NOT_SERVING, end streams, give calls `grace` seconds to finish, and close."""
        await self._health.set_stopping()
        await asyncio.sleep(_FAREWELL_SECONDS)
        self._chain.stop()
        await self._server.stop(grace)
        self._remove_socket()

    def _bind(self) -> str:
        if self._asked.startswith("unix:"):
            return self._bind_socket(self._asked.removeprefix("unix:"))
        host, _, port = self._asked.rpartition(":")
        if not host or not port.isdecimal() or int(port) > 65535:
            raise RefusalError(
                NetworkCode.BAD_HOST,
                f"{self._asked!r} is not host:port, such as 127.0.0.1:7051",
                field="listen",
            )
        return f"{host}:{self._add_port(self._asked)}"

    def _bind_socket(self, path: str) -> str:
        if len(os.fsencode(path)) > _MAX_SOCKET_PATH:
            raise RefusalError(
                NetworkCode.BAD_PATH,
                f"the socket's path {path} has {len(os.fsencode(path))} bytes; the system allows "
                f"{_MAX_SOCKET_PATH}. Choose a shorter home folder.",
                field="listen",
                limit=str(_MAX_SOCKET_PATH),
            )
        # The owner alone may connect, from the instant at which the socket is there.
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
                f"cannot listen on {address}: is another program using it? ({error})",
                field="listen",
                limit=address,
            ) from error
