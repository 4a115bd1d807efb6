"""Resumable uploads of artifacts.

The server keeps the valid chunks of an interrupted upload and names the next one, so that no chunk
is sent twice. `artifact_client` explains chunks and manifests.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

from grpc import StatusCode

from fedcoin.data.artifacts.manifest import CHUNK_BYTES, build_manifest
from fedcoin.network.client.artifact_client import CHUNK_S, MAX_FAILURES, Prove, make_proof
from fedcoin.network.client.backoff import Backoff
from fedcoin.network.client.grpc_client import GrpcClient
from fedcoin.network.client.rpc_error import RpcError
from fedcoin.v1 import artifact_upload_service_pb2 as pb
from fedcoin.v1.artifact_pb2 import ArtifactManifest
from fedcoin.v1.artifact_upload_service_pb2_grpc import ArtifactUploadServiceStub

FIRST_PAUSE_S, MAX_PAUSE_S = 0.1, 2.0
"""The shortest and the longest pause between two attempts, in seconds."""


class ArtifactUploadClient:
    """Uploads artifacts through the channel of a client, by the server's ArtifactUploadService."""

    def __init__(self, client: GrpcClient) -> None:
        """Use a client's channel.

        Args:
            client: The client, which the caller closes.
        """
        self._client = client
        self._stub = ArtifactUploadServiceStub(client.channel)

    async def has(self, artifact: bytes) -> bool:
        """Ask whether the server holds a whole artifact.

        Args:
            artifact: The artifact's id, 32 bytes.

        Returns:
            True when all chunks are there.

        Raises:
            RpcError: The call failed.
        """
        return (await self._upload_status(artifact)).complete

    async def upload(self, data: bytes | Path, prove: Prove | None = None) -> bytes:
        """Store an artifact with the server.

        Resumes an interrupted upload, and sends nothing when the server holds the artifact
        already. After a lost connection it tries again, until `MAX_FAILURES` attempts in a row have
        transferred no chunk.

        Args:
            data: The content, or the file that holds it.
            prove: Makes a proof, to store the artifact for a private campaign; None stores it for
                everybody.

        Returns:
            The artifact's id, 32 bytes.

        Raises:
            RpcError: TOO_LARGE or STORE_FULL when the artifact exceeds the server's limits; another
                code when it refused, or could not be reached in `MAX_FAILURES` attempts.
            RefusalError: BAD_ARTIFACT when there is no content; TOO_LARGE when it is longer than
                any artifact may be.
            OSError: The file cannot be read.
        """
        manifest = await asyncio.to_thread(build_manifest, data)
        status = await self._upload_status(manifest.id, prove)
        failures, backoff = 0, Backoff(FIRST_PAUSE_S, MAX_PAUSE_S)
        while not status.complete:
            before = status.next_chunk
            try:
                await self._upload_from(manifest, data, before, prove)
                break
            except RpcError as error:
                failures += 1
                if failures == MAX_FAILURES or not (error.is_transient or _hides_reason(error)):
                    raise
            await asyncio.sleep(backoff.next_pause())
            status = await self._upload_status(manifest.id, prove)
            if status.next_chunk > before:
                failures = 0
                backoff.reset()
        return manifest.id

    async def _upload_status(
        self, artifact: bytes, prove: Prove | None = None
    ) -> pb.GetUploadStatusResponse:
        request = pb.GetUploadStatusRequest(id=artifact, proof=await make_proof(prove))
        return await self._client.call(self._stub.GetUploadStatus, request)

    async def _upload_from(
        self, manifest: ArtifactManifest, data: bytes | Path, first: int, prove: Prove | None
    ) -> None:
        proof = await make_proof(prove)

        async def parts() -> AsyncIterator[pb.UploadRequest]:
            yield pb.UploadRequest(manifest=manifest, proof=proof)
            for index in range(first, len(manifest.chunk_hashes)):
                chunk = await asyncio.to_thread(_read_chunk, data, index)
                yield pb.UploadRequest(chunk=pb.ArtifactChunk(index=index, data=chunk))

        seconds = self._client.timeout + CHUNK_S * (len(manifest.chunk_hashes) - first)
        await self._client.call_with_stream(self._stub.Upload, parts(), timeout=seconds)


def _hides_reason(error: RpcError) -> bool:
    """Tell whether gRPC's library put an error of its own in the place of the server's.

    It sometimes does when the server ends the call while a chunk is on its way. Asked again, the
    server gives its reason again.
    """
    return error.status is StatusCode.INTERNAL and error.message.endswith("from Core")


def _read_chunk(data: bytes | Path, index: int) -> bytes:
    start = index * CHUNK_BYTES
    if isinstance(data, bytes):
        return data[start : start + CHUNK_BYTES]
    with data.open("rb") as file:
        file.seek(start)
        return file.read(CHUNK_BYTES)
