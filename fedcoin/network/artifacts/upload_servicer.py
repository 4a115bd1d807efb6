"""ArtifactUploadService, for the listeners of API and coordinator."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable

from fedcoin.data.artifacts.store import ArtifactStore
from fedcoin.data.errors import RefusalError
from fedcoin.network.artifacts.artifact_admission import ArtifactAdmission, OpenAdmission
from fedcoin.network.artifacts.servicer import check_artifact_id
from fedcoin.network.background_tasks import run_within
from fedcoin.network.errors import NetworkCode
from fedcoin.network.interceptors import CallContext
from fedcoin.v1.artifact_upload_service_pb2 import (
    GetUploadStatusRequest,
    GetUploadStatusResponse,
    UploadRequest,
    UploadResponse,
)
from fedcoin.v1.artifact_upload_service_pb2_grpc import ArtifactUploadServiceServicer

_MAX_DRAINED = 128
_DRAIN_TIMEOUT_S = 2.0
"""How many messages are read after an upload was refused, and for how long, in seconds."""


class ArtifactUploadServicer(ArtifactUploadServiceServicer):
    """Serves `proto/fedcoin/v1/artifact_upload_service.proto` into a store.

    The store's limits (the size of one artifact and of all) hold. Disk access runs in threads.
    """

    def __init__(
        self,
        store: ArtifactStore,
        check_wanted: Callable[[bytes], None] | None = None,
        admission: ArtifactAdmission | None = None,
    ) -> None:
        """Serve a store.

        Args:
            store: The store that receives the artifacts.
            check_wanted: Takes the id of each artifact that is about to be uploaded, and raises a
                RefusalError when it is not wanted; None to accept all.
            admission: Chooses the store by who uploads; None takes all into `store`.
        """
        self._admission = OpenAdmission(store) if admission is None else admission
        self._check_wanted = check_wanted

    async def Upload(
        self, request_iterator: AsyncIterator[UploadRequest], context: CallContext
    ) -> UploadResponse:
        """Store an artifact that arrives as its manifest, followed by its chunks.

        Raises:
            RefusalError: MALFORMED when the stream has another form; CHUNK_OUT_OF_ORDER when it
                ends before the last chunk; TOO_LARGE or STORE_FULL when the artifact exceeds the
                store's limits; BAD_ARTIFACT or BAD_CHUNK when the manifest or a chunk is wrong;
                BAD_READER_PROOF or NOT_A_READER when the caller may not upload for the campaign
                that it names; what `check_wanted` raises.
        """
        try:
            return await self._upload(request_iterator)
        except RefusalError:
            await _drain(request_iterator)
            raise

    async def _upload(self, request_iterator: AsyncIterator[UploadRequest]) -> UploadResponse:
        first = await anext(aiter(request_iterator), None)
        if first is None or first.WhichOneof("part") != "manifest":
            raise _malformed("part", "the first message must hold the manifest")
        manifest = first.manifest
        check_artifact_id(manifest.id)
        if self._check_wanted is not None:
            self._check_wanted(manifest.id)
        store = self._choose(first)
        await asyncio.to_thread(store.begin, manifest)
        async for part in request_iterator:
            if part.WhichOneof("part") != "chunk":
                raise _malformed("part", "after the manifest there are only chunks")
            chunk = part.chunk
            await asyncio.to_thread(store.add_chunk, manifest.id, chunk.index, chunk.data)
        if not store.has(manifest.id):
            wanted = store.next_chunk(manifest.id)
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
        """Report how far an artifact's upload has come: the index of the next chunk.

        Raises:
            RefusalError: MALFORMED when the id does not have 32 bytes; BAD_READER_PROOF or
                NOT_A_READER when the caller may not upload for the campaign that it names; what
                `check_wanted` raises.
        """
        check_artifact_id(request.id)
        if self._check_wanted is not None:
            self._check_wanted(request.id)
        store = self._choose(request)
        return GetUploadStatusResponse(
            next_chunk=store.next_chunk(request.id), complete=store.has(request.id)
        )

    def _choose(self, request: UploadRequest | GetUploadStatusRequest) -> ArtifactStore:
        return self._admission.writable(request.proof if request.HasField("proof") else None)


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


def _malformed(field: str, why: str) -> RefusalError:
    return RefusalError(NetworkCode.MALFORMED, f"{field}: {why}", field=field)
