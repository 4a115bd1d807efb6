"""Moving artifacts between a node and a local store, with resume."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import TYPE_CHECKING, Any, cast

import grpc

from fedcoin.data.artifact_store import ArtifactStore
from fedcoin.data.artifacts import check_manifest
from fedcoin.data.errors import DataCode, Refusal
from fedcoin.network.tasks import within
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

Metadata = Sequence[tuple[str, str]]

CALL_S = 10.0
"""The deadline of a call with a single reply."""

CHUNK_S = 20.0
"""How long one chunk may take."""


class TransferBroken(Exception):
    """The other side is gone, or too slow; what arrived is kept, and a new try goes on."""


async def download_artifact(
    stub: ArtifactServiceAsyncStub, id: bytes, store: ArtifactStore, metadata: Metadata = ()
) -> int:
    """Fetch one artifact (32-byte id) into the store; returns how many chunks it took.

    Goes on where an earlier transfer, from whomever, broke off. Raises Refusal: BAD_ARTIFACT
    or BAD_CHUNK when the server sends what the id does not allow, TOO_LARGE or STORE_FULL by
    the store; `grpc.aio.AioRpcError` when the server refuses (NOT_FOUND); `TransferBroken`
    when the transfer broke off.
    """
    if store.has(id):
        return 0
    manifest = await _manifest(stub, id, metadata)
    wanted = await asyncio.to_thread(store.begin, manifest)
    count = len(manifest.chunk_hashes)
    first = wanted
    call = stub.Download(DownloadRequest(id=id, first_chunk=first), metadata=tuple(metadata))
    try:
        while wanted < count:
            reply = await within(CHUNK_S, call.read())
            if not isinstance(reply, DownloadResponse):
                raise TransferBroken(f"{id.hex()}: ended before chunk {wanted} of {count}")
            if reply.index != wanted:
                raise Refusal(
                    DataCode.BAD_CHUNK,
                    f"chunk.index: the server sent {reply.index} where {wanted} comes next",
                    field="chunk.index",
                    limit=str(wanted),
                )
            await asyncio.to_thread(store.add_chunk, id, reply.index, reply.data)
            wanted += 1
    except asyncio.TimeoutError:
        raise TransferBroken(f"{id.hex()}: no chunk for {CHUNK_S:g} s") from None
    except grpc.aio.AioRpcError as error:
        raise _broken(id, error) from error
    finally:
        call.cancel()
    return count - first


async def upload_artifact(
    stub: ArtifactServiceAsyncStub, id: bytes, store: ArtifactStore, metadata: Metadata = ()
) -> int:
    """Send one artifact (32-byte id) that the store holds; returns how many chunks it took.

    Goes on where an earlier upload broke off. Raises `grpc.aio.AioRpcError` when the server
    refuses, `TransferBroken` when the transfer broke off.
    """
    try:
        status = await stub.GetUploadStatus(
            GetUploadStatusRequest(id=id), metadata=tuple(metadata), timeout=CALL_S
        )
        if status.complete:
            return 0
        manifest = await asyncio.to_thread(store.manifest, id)
        count = len(manifest.chunk_hashes) - status.next_chunk
        parts = _parts(manifest, store, status.next_chunk)
        # The stubs of grpc.aio want an iterable type that async generators do not have.
        upload = cast("Any", stub.Upload)
        await upload(parts, metadata=tuple(metadata), timeout=CALL_S + CHUNK_S * count)
    except grpc.aio.AioRpcError as error:
        raise _broken(id, error) from error
    return count


async def _manifest(
    stub: ArtifactServiceAsyncStub, id: bytes, metadata: Metadata
) -> ArtifactManifest:
    try:
        reply = await stub.GetManifest(
            GetManifestRequest(id=id), metadata=tuple(metadata), timeout=CALL_S
        )
    except grpc.aio.AioRpcError as error:
        raise _broken(id, error) from error
    check_manifest(reply.manifest)
    if reply.manifest.id != id:
        raise Refusal(
            DataCode.BAD_ARTIFACT,
            f"manifest.id: {reply.manifest.id.hex()}, but {id.hex()} was asked for",
            field="manifest.id",
        )
    return reply.manifest


async def _parts(
    manifest: ArtifactManifest, store: ArtifactStore, first: int
) -> AsyncIterator[UploadRequest]:
    yield UploadRequest(manifest=manifest)
    for index in range(first, len(manifest.chunk_hashes)):
        data = await asyncio.to_thread(store.read_chunk, manifest.id, index)
        yield UploadRequest(chunk=ArtifactChunk(index=index, data=data))


_LOST = frozenset(
    {
        grpc.StatusCode.UNAVAILABLE,
        grpc.StatusCode.DEADLINE_EXCEEDED,
        grpc.StatusCode.CANCELLED,
        grpc.StatusCode.INTERNAL,
        grpc.StatusCode.UNKNOWN,
    }
)


def _broken(id: bytes, error: grpc.aio.AioRpcError) -> Exception:
    """What a failed call means: the other side is lost, or it says no."""
    if error.code() in _LOST:
        return TransferBroken(f"{id.hex()}: {error.code().name}: {error.details()}")
    return error
