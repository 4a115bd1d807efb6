"""ArtifactService, for the listeners of peers, API and coordinator."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from fedcoin.data.artifacts.manifest import count_chunks
from fedcoin.data.artifacts.store import ArtifactStore
from fedcoin.data.crypto.hashing import HASH_BYTES
from fedcoin.data.errors import RefusalError
from fedcoin.network.artifacts.artifact_admission import (
    ArtifactAdmission,
    OpenAdmission,
    artifact_not_found,
)
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

    def __init__(self, store: ArtifactStore, admission: ArtifactAdmission | None = None) -> None:
        """Serve a store.

        Args:
            store: The complete artifacts that are served.
            admission: Chooses the store by who asks; None serves everybody from `store`.
        """
        self._admission = OpenAdmission(store) if admission is None else admission

    async def GetManifest(
        self, request: GetManifestRequest, context: CallContext
    ) -> GetManifestResponse:
        """Send an artifact's manifest.

        Raises:
            RefusalError: MALFORMED when the id does not have 32 bytes; ARTIFACT_NOT_FOUND when
                the store does not hold the whole artifact; BAD_READER_PROOF or NOT_A_READER when
                the caller may not have it.
        """
        store = self._choose(request)
        _size_in(store, request)
        manifest = await asyncio.to_thread(store.manifest, request.id)
        return GetManifestResponse(manifest=manifest)

    async def Download(
        self, request: DownloadRequest, context: CallContext
    ) -> AsyncIterator[DownloadResponse]:
        """Stream an artifact's chunks, from `first_chunk` on.

        Raises:
            RefusalError: MALFORMED when the id does not have 32 bytes; ARTIFACT_NOT_FOUND when
                the store does not hold the whole artifact; BAD_READER_PROOF or NOT_A_READER when
                the caller may not have it; OUT_OF_RANGE when it has no such chunk.
        """
        store = self._choose(request)
        count = count_chunks(_size_in(store, request))
        if request.first_chunk >= count:
            raise RefusalError(
                NetworkCode.OUT_OF_RANGE,
                f"first_chunk is {request.first_chunk}, but the artifact has {count} chunks, "
                "counted from 0",
                field="first_chunk",
                limit=str(count - 1),
            )
        for index in range(request.first_chunk, count):
            data = await asyncio.to_thread(store.read_chunk, request.id, index)
            yield DownloadResponse(index=index, data=data)

    def _choose(self, request: GetManifestRequest | DownloadRequest) -> ArtifactStore:
        check_artifact_id(request.id)
        proof = request.proof if request.HasField("proof") else None
        return self._admission.readable(request.id, proof)


def _size_in(store: ArtifactStore, request: GetManifestRequest | DownloadRequest) -> int:
    size = store.size(request.id)
    if size is None:
        raise artifact_not_found(request.id, has_proof=request.HasField("proof"))
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
