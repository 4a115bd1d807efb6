"""Artifacts to and from a node, chunk by chunk; what broke off goes on."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any, cast

import grpc
from grpc import StatusCode

from fedcoin.data.artifacts.manifest import CHUNK_BYTES, check_chunk, check_manifest, manifest_of
from fedcoin.data.errors import RefusalError
from fedcoin.network.api.failure import RpcError, failure_of
from fedcoin.network.api.link import Link
from fedcoin.v1 import artifact_service_pb2, artifact_service_pb2_grpc
from fedcoin.v1.artifact_service_pb2 import ArtifactChunk, ArtifactManifest, UploadRequest

_ATTEMPTS = 5
_SECONDS_PER_CHUNK = 5.0


class ArtifactClient:
    """The artifact service at the other end of a link."""

    def __init__(self, link: Link) -> None:
        self._link = link
        self._stub = artifact_service_pb2_grpc.ArtifactServiceStub(link.channel)

    async def has(self, artifact: bytes) -> bool:
        """True when the server holds the whole artifact (id of 32 bytes)."""
        return (await self._upload_status(artifact)).complete

    async def upload(self, data: bytes | Path) -> bytes:
        """Store bytes or a file; the id. A lost connection is taken up again a few times."""
        manifest = await asyncio.to_thread(manifest_of, data)
        for attempt in range(_ATTEMPTS):
            status = await self._upload_status(manifest.id)
            if status.complete:
                break
            try:
                await self._upload_from(manifest, data, status.next_chunk)
                break
            except RpcError as failure:
                again = failure.lost or _hides_the_reason(failure)
                if not again or attempt == _ATTEMPTS - 1:
                    raise
        return manifest.id

    async def download(self, artifact: bytes, max_bytes: int) -> bytes:
        """The bytes of an artifact of at most `max_bytes`, each chunk checked.

        RpcFailure ARTIFACT_NOT_FOUND, TOO_LARGE, or BAD_CHUNK when the server cheats.
        """
        manifest = await self._manifest(artifact, max_bytes)
        chunks: list[bytes] = []
        for attempt in range(_ATTEMPTS):
            try:
                await self._download_into(chunks, manifest)
                break
            except RpcError as failure:
                if not failure.lost or attempt == _ATTEMPTS - 1:
                    raise
        return b"".join(chunks)

    async def _upload_status(self, artifact: bytes) -> artifact_service_pb2.GetUploadStatusResponse:
        request = artifact_service_pb2.GetUploadStatusRequest(id=artifact)
        return await self._link.call(self._stub.GetUploadStatus, request)

    async def _upload_from(
        self, manifest: ArtifactManifest, data: bytes | Path, first: int
    ) -> None:
        chunks = len(manifest.chunk_hashes) - first
        seconds = self._link.timeout + _SECONDS_PER_CHUNK * chunks
        call = cast("Any", self._stub.Upload)(timeout=seconds)
        try:
            # Written by hand: an iterator would go on after the server has ended the call.
            await call.write(UploadRequest(manifest=manifest))
            for index in range(first, len(manifest.chunk_hashes)):
                chunk = await asyncio.to_thread(_chunk, data, index)
                await call.write(UploadRequest(chunk=ArtifactChunk(index=index, data=chunk)))
            await call.done_writing()
        except (grpc.aio.AioRpcError, asyncio.InvalidStateError):
            pass  # the call's own status says why
        try:
            await call
        except grpc.aio.AioRpcError as error:
            raise failure_of(error, self._link.target) from None

    async def _manifest(self, artifact: bytes, max_bytes: int) -> ArtifactManifest:
        request = artifact_service_pb2.GetManifestRequest(id=artifact)
        manifest = (await self._link.call(self._stub.GetManifest, request)).manifest
        try:
            await asyncio.to_thread(check_manifest, manifest, max_bytes)
        except RefusalError as refusal:
            raise self._cheated(refusal) from None
        if manifest.id != artifact:
            raise RpcError(
                StatusCode.DATA_LOSS,
                "BAD_ARTIFACT",
                f"sent the manifest of {manifest.id.hex()} instead of {artifact.hex()}",
                target=self._link.target,
            )
        return manifest

    async def _download_into(self, chunks: list[bytes], manifest: ArtifactManifest) -> None:
        request = artifact_service_pb2.DownloadRequest(id=manifest.id, first_chunk=len(chunks))
        async for reply in self._link.stream(self._stub.Download, request):
            try:
                if reply.index != len(chunks):
                    raise RpcError(
                        StatusCode.DATA_LOSS,
                        "BAD_CHUNK",
                        f"sent chunk {reply.index} in the place of {len(chunks)}",
                        target=self._link.target,
                    )
                await asyncio.to_thread(check_chunk, manifest, reply.index, reply.data)
            except RefusalError as refusal:
                raise self._cheated(refusal) from None
            chunks.append(reply.data)

    def _cheated(self, refusal: RefusalError) -> RpcError:
        return RpcError(
            StatusCode.DATA_LOSS,
            refusal.code.name,
            f"sent an artifact that is not what was asked for: {refusal}",
            field=refusal.field,
            limit=refusal.limit,
            target=self._link.target,
        )


def _hides_the_reason(failure: RpcError) -> bool:
    """A server ended the call while a chunk was on its way.

    grpc.aio then sometimes has an error of its own in the place of the server's; asked again,
    the server says it again.
    """
    return failure.status is StatusCode.INTERNAL and failure.message.endswith("from Core")


def _chunk(data: bytes | Path, index: int) -> bytes:
    start = index * CHUNK_BYTES
    if isinstance(data, bytes):
        return data[start : start + CHUNK_BYTES]
    with data.open("rb") as file:
        file.seek(start)
        return file.read(CHUNK_BYTES)
