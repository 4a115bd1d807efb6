"""A servicer with one method of each shape, whose behaviour a test sets, on a real listener."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import grpc
import pytest

from fedcoin.network.call_limits import CallLimits
from fedcoin.network.interceptors import CallGuard
from fedcoin.network.listener import Listener, Service
from fedcoin.v1 import artifact_service_pb2 as pb
from fedcoin.v1 import artifact_service_pb2_grpc as rpc
from fedcoin.v1 import artifact_upload_service_pb2 as upload_pb
from fedcoin.v1 import artifact_upload_service_pb2_grpc as upload_rpc

SERVICE = "fedcoin.v1.ArtifactService"
UPLOAD_SERVICE = "fedcoin.v1.ArtifactUploadService"


# The generated types demand that all methods are written, and GetUploadStatus is left out here.
_Servicer: Any = rpc.ArtifactServiceServicer
_UploadServicer: Any = upload_rpc.ArtifactUploadServiceServicer


class Probe(_Servicer, _UploadServicer):  # type: ignore[misc]
    """GetManifest: one to one. Download: one to many. Upload: many to one."""

    def __init__(self) -> None:
        self.single: Callable[[Any], Awaitable[Any]] = self._nothing
        self.replies: Callable[[Any], AsyncIterator[Any]] = self._no_replies
        self.uploaded: list[Any] = []

    async def GetManifest(self, request: Any, context: Any) -> Any:
        return await self.single(request)

    async def Download(self, request: Any, context: Any) -> AsyncIterator[Any]:
        async for reply in self.replies(request):
            yield reply

    async def Upload(self, request_iterator: Any, context: Any) -> Any:
        async for request in request_iterator:
            self.uploaded.append(request)
        return upload_pb.UploadResponse(id=bytes(32))

    async def _nothing(self, request: Any) -> Any:
        return pb.GetManifestResponse()

    async def _no_replies(self, request: Any) -> AsyncIterator[Any]:
        for index in range(3):
            yield pb.DownloadResponse(index=index)


def probe_services(probe: Probe) -> list[Service]:
    """Return the probe's services, for a listener."""

    def add(server: grpc.aio.Server) -> None:
        rpc.add_ArtifactServiceServicer_to_server(probe, server)

    def add_uploads(server: grpc.aio.Server) -> None:
        upload_rpc.add_ArtifactUploadServiceServicer_to_server(probe, server)

    return [Service(SERVICE, add), Service(UPLOAD_SERVICE, add_uploads)]


@asynccontextmanager
async def probing(
    probe: Probe, limits: CallLimits | None = None, guards: tuple[CallGuard, ...] = ()
) -> AsyncIterator[tuple[grpc.aio.Channel, Listener]]:
    """The probe on a listener of its own, and a channel to it."""
    listener = Listener("127.0.0.1:0", probe_services(probe), limits=limits, guards=guards)
    await listener.start()
    await listener.set_serving()
    try:
        async with grpc.aio.insecure_channel(listener.address) as channel:
            yield channel, listener
    finally:
        await listener.stop(0)


def no_errors_in(caplog: pytest.LogCaptureFixture) -> bool:
    return not [record for record in caplog.records if record.levelno >= logging.ERROR]
