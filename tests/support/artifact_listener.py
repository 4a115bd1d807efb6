"""An artifact listener as the API's and the coordinator's are, and callers of it."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import grpc

from fedcoin.data.artifacts.manifest import CHUNK_BYTES
from fedcoin.data.artifacts.store import ArtifactStore
from fedcoin.network.artifacts.servicer import ArtifactServicer
from fedcoin.network.listener import Listener, Service
from fedcoin.v1.artifact_service_pb2_grpc import (
    ArtifactServiceServicer,
    add_ArtifactServiceServicer_to_server,
)

NAME = "fedcoin.v1.ArtifactService"


def data(chunks: int, seed: int = 0) -> bytes:
    """So many chunks, the last one shorter."""
    return random.Random(seed).randbytes(chunks * CHUNK_BYTES - 1000)


@asynccontextmanager
async def serving(servicer: ArtifactServiceServicer) -> AsyncIterator[grpc.aio.Channel]:
    """A listener with one servicer, and a channel to it."""
    async with serving_at(servicer) as address, grpc.aio.insecure_channel(address) as channel:
        yield channel


@asynccontextmanager
async def serving_at(servicer: ArtifactServiceServicer) -> AsyncIterator[str]:
    """A listener with one servicer; its address."""

    def add(server: grpc.aio.Server) -> None:
        add_ArtifactServiceServicer_to_server(servicer, server)

    listener = Listener("127.0.0.1:0", [Service(NAME, add)])
    await listener.start()
    try:
        yield listener.address
    finally:
        await listener.stop(0)


def open_servicer(store: ArtifactStore) -> ArtifactServicer:
    """One that takes uploads."""
    return ArtifactServicer(store, uploads=True)
