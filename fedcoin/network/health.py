"""The standard health service, telling the truth.

A listener is NOT_SERVING from the moment it is bound until its owner says that everything
behind it works, and again from the moment it begins to stop. Nothing is SERVING by default.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc

SERVICE: Final = "grpc.health.v1.Health"

_SERVING = health_pb2.HealthCheckResponse.SERVING
_NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING


class ListenerHealth:
    """The state of one listener: as a whole (the empty name) and of each of its services."""

    def __init__(self, services: Iterable[str]) -> None:
        self._servicer = health.aio.HealthServicer()
        self._names = ("", *services)
        self._serving = False

    @property
    def is_serving(self) -> bool:
        """True between `serving` and `stopping`."""
        return self._serving

    async def add_to(self, server: grpc.aio.Server) -> None:
        """Serve health on a listener that has not been started yet; NOT_SERVING so far."""
        await self._set(_NOT_SERVING)
        health_pb2_grpc.add_HealthServicer_to_server(self._servicer, server)

    async def set_serving(self) -> None:
        """Everything behind the listener works."""
        self._serving = True
        await self._set(_SERVING)

    async def set_stopping(self) -> None:
        """The listener is about to stop; there is no way back."""
        self._serving = False
        await self._servicer.enter_graceful_shutdown()

    async def _set(self, status: int) -> None:
        for name in self._names:
            await self._servicer.set(name, status)
