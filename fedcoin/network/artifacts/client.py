"""Moving artifacts between a node and a local store, with resume."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING

import grpc

from fedcoin.data.artifacts.manifest import check_manifest
from fedcoin.data.artifacts.store import ArtifactStore
from fedcoin.data.errors import DataCode, RefusalError
from fedcoin.network.calls import CallError, Metadata, ask, open_stream, step
from fedcoin.v1.artifact_service_pb2 import (
    ArtifactChunk,
    ArtifactManifest,
    DownloadRequest,
    DownloadResponse,
    GetManifestRequest,
    GetUploadStatusRequest,
    UploadRequest,
)

if TYPE_CHECKING:
    from fedcoin.v1.artifact_service_pb2_grpc import ArtifactServiceAsyncStub

CALL_S = 10.0
"""The deadline of a call with a single reply."""

CHUNK_S = 20.0
"""How long one chunk may take."""


async def download_artifact(
    stub: ArtifactServiceAsyncStub, id: bytes, store: ArtifactStore, metadata: Metadata = ()
) -> int:
    """Fetch one artifact (32-byte id) into the store; returns how many chunks it took.

    Goes on where an earlier transfer, from whomever, broke off. Raises Refusal: BAD_ARTIFACT
    or BAD_CHUNK when the server sends what the id does not allow, TOO_LARGE or STORE_FULL by
    the store. Raises `CallFailed` when the server refuses or the transfer breaks off; what
    arrived is kept, and `lost` tells if another try may help.
    """
    if store.has(id):
        return 0
    manifest = await _manifest(stub, id, metadata)
    wanted = first = await asyncio.to_thread(store.begin, manifest)
    count = len(manifest.chunk_hashes)
    if wanted == count:
        return 0
    call = open_stream(stub.Download, DownloadRequest(id=id, first_chunk=first), metadata)
    try:
        while wanted < count:
            reply = await step(call.read(), CHUNK_S)
            if not isinstance(reply, DownloadResponse):
                raise CallError(
                    grpc.StatusCode.UNAVAILABLE, f"ended before chunk {wanted} of {count}"
                )
            if reply.index != wanted:
                raise _out_of_order(reply.index, wanted)
            wanted = await asyncio.to_thread(store.add_chunk, id, reply.index, reply.data)
    finally:
        call.cancel()
    return count - first


async def upload_artifact(
    stub: ArtifactServiceAsyncStub, id: bytes, store: ArtifactStore, metadata: Metadata = ()
) -> int:
    """Send one artifact (32-byte id) that the store holds; returns how many chunks it took.

    Goes on where an earlier upload broke off. Raises `CallFailed` when the server refuses or
    the transfer breaks off.
    """
    request = GetUploadStatusRequest(id=id)
    status = await ask(stub.GetUploadStatus, request, CALL_S, metadata)
    if status.complete:
        return 0
    manifest = await asyncio.to_thread(store.manifest, id)
    first = int(status.next_chunk)
    count = len(manifest.chunk_hashes) - first
    parts = _parts(manifest, store, first)
    await ask(stub.Upload, parts, CALL_S + CHUNK_S * count, metadata)
    return count


async def _manifest(
    stub: ArtifactServiceAsyncStub, id: bytes, metadata: Metadata
) -> ArtifactManifest:
    reply = await ask(stub.GetManifest, GetManifestRequest(id=id), CALL_S, metadata)
    manifest: ArtifactManifest = reply.manifest
    check_manifest(manifest)
    if manifest.id != id:
        raise RefusalError(
            DataCode.BAD_ARTIFACT,
            f"manifest.id: {manifest.id.hex()}, but {id.hex()} was asked for",
            field="manifest.id",
        )
    return manifest


async def _parts(
    manifest: ArtifactManifest, store: ArtifactStore, first: int
) -> AsyncIterator[UploadRequest]:
    yield UploadRequest(manifest=manifest)
    for index in range(first, len(manifest.chunk_hashes)):
        data = await asyncio.to_thread(store.read_chunk, manifest.id, index)
        yield UploadRequest(chunk=ArtifactChunk(index=index, data=data))


def _out_of_order(index: int, wanted: int) -> RefusalError:
    return RefusalError(
        DataCode.BAD_CHUNK,
        f"chunk.index: the server sent {index} where {wanted} comes next",
        field="chunk.index",
        limit=str(wanted),
    )
