"""ArtifactService, for the listeners of peers, API and coordinator."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from fedcoin.data.artifacts.manifest import count_chunks
from fedcoin.data.artifacts.store import ArtifactStore
from fedcoin.data.crypto.hashing import HASH_BYTES
from fedcoin.data.errors import RefusalError
from fedcoin.network.errors import NetworkCode
from fedcoin.network.interceptors import CallContext
from fedcoin.v1.artifact_service_pb2 import (
    DownloadRequest,
    DownloadResponse,
    GetManifestRequest,
    GetManifestResponse,
)
from fedcoin.v1.artifact_service_pb2_grpc import ArtifactServiceServicer


class ArtifactServicer(ArtifactServiceServicer):
    """Serves `artifact_service.proto` from a store, which it reads in threads."""

    def __init__(self, store: ArtifactStore) -> None:
        """Serve a store.

        Args:
            store: The complete artifacts that are served.
        """
        self._store = store

    async def GetManifest(
        self, request: GetManifestRequest, context: CallContext
    ) -> GetManifestResponse:
        """Send an artifact's manifest.

        Raises:
            RefusalError: MALFORMED when the id does not have 32 bytes; ARTIFACT_NOT_FOUND when
                the store does not hold the whole artifact.
        """
        self._size_of(request.id)
        manifest = await asyncio.to_thread(self._store.manifest, request.id)
        return GetManifestResponse(manifest=manifest)

    async def Download(
        self, request: DownloadRequest, context: CallContext
    ) -> AsyncIterator[DownloadResponse]:
        """Stream an artifact's chunks, from `first_chunk` on.

        Raises:
            RefusalError: MALFORMED when the id does not have 32 bytes; ARTIFACT_NOT_FOUND when
                the store does not hold the whole artifact; OUT_OF_RANGE when it has no such chunk.
        """
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

    def _size_of(self, id: bytes) -> int:
        check_artifact_id(id)
        size = self._store.size(id)
        if size is None:
            raise RefusalError(
                NetworkCode.ARTIFACT_NOT_FOUND,
                f"id: this node does not hold artifact {id.hex()}",
                field="id",
            )
        return size


def check_artifact_id(id: bytes) -> None:
    """Refuse an artifact id of the wrong length.

    Args:
        id: A request's field `id`.

    Raises:
        RefusalError: MALFORMED unless it has 32 bytes.
    """
    if len(id) != HASH_BYTES:
        raise RefusalError(
            NetworkCode.MALFORMED,
            f"id: {len(id)} bytes, must be exactly {HASH_BYTES}",
            field="id",
        )
