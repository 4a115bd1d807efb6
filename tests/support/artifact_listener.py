"""An artifact listener as the API's and the coordinator's are, and callers of it."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import grpc

from fedcoin.data.artifacts.manifest import CHUNK_BYTES
from fedcoin.data.artifacts.store import ArtifactStore
from fedcoin.network.artifacts.servicer import ArtifactServicer
from fedcoin.network.artifacts.upload_servicer import ArtifactUploadServicer
from fedcoin.network.listener import Listener, Service
from fedcoin.v1.artifact_service_pb2_grpc import add_ArtifactServiceServicer_to_server
from fedcoin.v1.artifact_upload_service_pb2_grpc import (
    add_ArtifactUploadServiceServicer_to_server,
)


def data(chunks: int, seed: int = 0) -> bytes:
    """So many chunks, the last one shorter."""
    return random.Random(seed).randbytes(chunks * CHUNK_BYTES - 1000)


@asynccontextmanager
async def serving(store: ArtifactStore) -> AsyncIterator[grpc.aio.Channel]:
    """A listener with a store's downloads and uploads, and a channel to it."""
    async with (
        serving_at(ArtifactServicer(store), ArtifactUploadServicer(store)) as address,
        grpc.aio.insecure_channel(address) as channel,
    ):
        yield channel


@asynccontextmanager
async def serving_at(
    *servicers: ArtifactServicer | ArtifactUploadServicer,
) -> AsyncIterator[str]:
    """A listener with some servicers; its address."""
    services = [_service_of(servicer) for servicer in servicers]
    listener = Listener("127.0.0.1:0", services)
    await listener.start()
    try:
        yield listener.address
    finally:
        await listener.stop(0)


def _service_of(servicer: ArtifactServicer | ArtifactUploadServicer) -> Service:
    def add(server: grpc.aio.Server) -> None:
        if isinstance(servicer, ArtifactServicer):
            add_ArtifactServiceServicer_to_server(servicer, server)
        else:
            add_ArtifactUploadServiceServicer_to_server(servicer, server)

    is_download = isinstance(servicer, ArtifactServicer)
    name = "ArtifactService" if is_download else "ArtifactUploadService"
    return Service(f"fedcoin.v1.{name}", add)
