"""ArtifactService, for the listeners of peers, API and coordinator."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

from fedcoin.data.artifacts.manifest import count_chunks
from fedcoin.data.artifacts.store import ArtifactStore
from fedcoin.data.crypto.hashing import HASH_BYTES
from fedcoin.data.errors import RefusalError
from fedcoin.network.background_tasks import run_within
from fedcoin.network.errors import NetworkCode
from fedcoin.network.interceptors import CallContext
from fedcoin.v1.artifact_service_pb2 import (
    DownloadRequest,
    DownloadResponse,
    GetManifestRequest,
    GetManifestResponse,
    GetUploadStatusRequest,
    GetUploadStatusResponse,
    UploadRequest,
    UploadResponse,
)
from fedcoin.v1.artifact_service_pb2_grpc import ArtifactServiceServicer

_MAX_DRAINED = 128
_DRAIN_TIMEOUT_S = 2.0
# How many messages are read, and for how long, after an upload was refused.


class ArtifactServicer(ArtifactServiceServicer):
    """Serves `proto/fedcoin/v1/artifact_service.proto` from a store.

    The store's limits (the size of one artifact and of all) hold for uploads. Disk access runs in
    threads.
    """

    def __init__(self, store: ArtifactStore, *, uploads: bool) -> None:
        """Serve a store.

        Args:
            store: The artifacts.
            uploads: Whether uploads are accepted; between peers they are not.
        """
        self._store = store
        self._uploads = uploads

    async def GetManifest(
        self, request: GetManifestRequest, context: CallContext
    ) -> GetManifestResponse:
        """Send the manifest. RefusalError MALFORMED, ARTIFACT_NOT_FOUND."""
        self._size_of(request.id)
        manifest = await asyncio.to_thread(self._store.manifest, request.id)
        return GetManifestResponse(manifest=manifest)

    async def Download(
        self, request: DownloadRequest, context: CallContext
    ) -> AsyncIterator[DownloadResponse]:
        """Send the chunks. RefusalError MALFORMED, ARTIFACT_NOT_FOUND, OUT_OF_RANGE."""
        count = count_chunks(self._size_of(request.id))
        if request.first_chunk >= count:
            raise RefusalError(
                NetworkCode.OUT_OF_RANGE,
                f"first_chunk is {request.first_chunk}, but the artifact has {count} chunks, "
                "counted from 0",
                field="first_chunk",
                limit=str(count - 1),
            )
        for index in range(request.first_chunk, count):
            data = await asyncio.to_thread(self._store.read_chunk, request.id, index)
            yield DownloadResponse(index=index, data=data)

    async def Upload(
        self, request_iterator: AsyncIterator[UploadRequest], context: CallContext
    ) -> UploadResponse:
        """Store an artifact.

        RefusalError UPLOADS_CLOSED, MALFORMED, CHUNK_OUT_OF_ORDER, and those of the store
        (TOO_LARGE, BAD_ARTIFACT, BAD_CHUNK, STORE_FULL).
        """
        try:
            return await self._upload(request_iterator)
        except RefusalError:
            await _drain(request_iterator)
            raise

    async def _upload(self, request_iterator: AsyncIterator[UploadRequest]) -> UploadResponse:
        self._check_uploads()
        first = await anext(aiter(request_iterator), None)
        if first is None or first.WhichOneof("part") != "manifest":
            raise _malformed("part", "the first message must hold the manifest")
        manifest = first.manifest
        _check_id(manifest.id)
        await asyncio.to_thread(self._store.begin, manifest)
        async for part in request_iterator:
            if part.WhichOneof("part") != "chunk":
                raise _malformed("part", "after the manifest there are only chunks")
            chunk = part.chunk
            await asyncio.to_thread(self._store.add_chunk, manifest.id, chunk.index, chunk.data)
        if not self._store.has(manifest.id):
            wanted = self._store.next_chunk(manifest.id)
            raise RefusalError(
                NetworkCode.CHUNK_OUT_OF_ORDER,
                f"chunk: the upload ended, but chunk {wanted} of {len(manifest.chunk_hashes)} is "
                "still wanted; go on with it in another upload",
                field="chunk",
                limit=str(wanted),
            )
        return UploadResponse(id=manifest.id)

    async def GetUploadStatus(
        self, request: GetUploadStatusRequest, context: CallContext
    ) -> GetUploadStatusResponse:
        """Report the next chunk. RefusalError UPLOADS_CLOSED, MALFORMED."""
        self._check_uploads()
        _check_id(request.id)
        next_chunk = self._store.next_chunk(request.id)
        complete = self._store.has(request.id)
        return GetUploadStatusResponse(next_chunk=next_chunk, complete=complete)

    def _size_of(self, id: bytes) -> int:
        _check_id(id)
        size = self._store.size(id)
        if size is None:
            raise RefusalError(
                NetworkCode.ARTIFACT_NOT_FOUND,
                f"id: this node does not hold artifact {id.hex()}",
                field="id",
            )
        return size

    def _check_uploads(self) -> None:
        if not self._uploads:
            raise RefusalError(
                NetworkCode.UPLOADS_CLOSED,
                "this listener accepts no uploads; upload to the API's or the coordinator's",
            )


async def _drain(requests: AsyncIterator[UploadRequest]) -> None:
    """Read on for a while, so that a caller which is still sending gets the refusal.

    gRPC's Python client turns a call that ends while it writes into an INTERNAL error.
    """

    async def read_on() -> None:
        count = 0
        async for _ in requests:
            count += 1
            if count == _MAX_DRAINED:
                return

    with contextlib.suppress(RefusalError, asyncio.TimeoutError):
        await run_within(_DRAIN_TIMEOUT_S, read_on())


def _check_id(id: bytes) -> None:
    if len(id) != HASH_BYTES:
        raise _malformed("id", f"{len(id)} bytes, must be exactly {HASH_BYTES}")


def _malformed(field: str, why: str) -> RefusalError:
    return RefusalError(NetworkCode.MALFORMED, f"{field}: {why}", field=field)
