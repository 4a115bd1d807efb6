"""The standard gRPC health service of a listener (grpc.health.v1).

A listener is NOT_SERVING from the moment it is bound until its owner says that everything behind
it works, and again from the moment it begins to stop. A node's API says SERVING as soon as the node
has started, also while it fetches blocks, and NOT_SERVING while a validator's vote is overdue.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc

SERVICE: Final = "grpc.health.v1.Health"
"""The health service's full name."""

_SERVING = health_pb2.HealthCheckResponse.SERVING
_NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING


class ListenerHealth:
    """The health of one listener: as a whole (the empty name) and of each of its services."""

    def __init__(self, services: Iterable[str]) -> None:
        """Begin as NOT_SERVING.

        Args:
            services: Full names of the services, such as `fedcoin.v1.NodeService`.
        """
        self._servicer = health.aio.HealthServicer()
        self._names = ("", *services)

    async def add_to(self, server: grpc.aio.Server) -> None:
        """Serve the health service.

        Args:
            server: A server that has not been started yet.
        """
        await self._set(_NOT_SERVING)
        health_pb2_grpc.add_HealthServicer_to_server(self._servicer, server)

    async def set_serving(self) -> None:
        """Say SERVING: everything behind the listener works."""
        await self._set(_SERVING)

    async def set_not_serving(self) -> None:
        """Say NOT_SERVING, until `set_serving` is called again."""
        await self._set(_NOT_SERVING)

    async def set_stopping(self) -> None:
        """Answer NOT_SERVING from now on, whatever is set later: the listener is about to stop."""
        await self._servicer.enter_graceful_shutdown()

    async def _set(self, status: int) -> None:
        for name in self._names:
            await self._servicer.set(name, status)
