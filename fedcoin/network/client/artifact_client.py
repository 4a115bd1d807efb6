"""Resumable downloads of artifacts.

An artifact is cut in chunks (`data.artifacts.manifest.CHUNK_BYTES`), whose hashes its manifest
lists; the artifact's id is the root of the tree over these hashes. So each chunk is checked when
it arrives, and the chunks that have arrived are kept when a transfer is interrupted.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

from grpc import StatusCode

from fedcoin.data.artifacts.manifest import MAX_ARTIFACT_BYTES, check_chunk, check_manifest
from fedcoin.data.artifacts.store import ArtifactStore
from fedcoin.data.errors import DataCode, RefusalError
from fedcoin.network.client.backoff import Backoff
from fedcoin.network.client.grpc_client import GrpcClient
from fedcoin.network.client.rpc_error import RpcError
from fedcoin.v1 import artifact_service_pb2 as pb
from fedcoin.v1.artifact_pb2 import ArtifactManifest, ReaderProof
from fedcoin.v1.artifact_service_pb2_grpc import ArtifactServiceStub

MAX_FAILURES: Final = 5
"""The largest number of attempts in a row that transfer no chunk."""

CHUNK_S: Final = 20.0
"""The time limit for one chunk, in seconds."""

FIRST_PAUSE_S, MAX_PAUSE_S = 0.1, 2.0
"""The shortest and the longest pause between two attempts, in seconds."""

Prove = Callable[[], ReaderProof]
"""Makes a proof that holds for some minutes; may block."""


async def make_proof(prove: Prove | None) -> ReaderProof | None:
    """Make the proof for one call, in a thread.

    Args:
        prove: Makes it; None for a call without a proof.

    Returns:
        The proof, or None.

    Raises:
        RefusalError: The process that holds the key refuses, or cannot be reached.
    """
    return None if prove is None else await asyncio.to_thread(prove)


class ArtifactClient:
    """Downloads artifacts through the channel of a client, by the server's ArtifactService."""

    def __init__(self, client: GrpcClient) -> None:
        """Use a client's channel.

        Args:
            client: The client, which the caller closes.
        """
        self._client = client
        self._stub = ArtifactServiceStub(client.channel)

    async def download(
        self, artifact: bytes, max_bytes: int = MAX_ARTIFACT_BYTES, prove: Prove | None = None
    ) -> bytes:
        """Fetch an artifact into memory, each chunk checked as it arrives.

        After a lost connection it tries again, until `MAX_FAILURES` attempts in a row have
        transferred no chunk.

        Args:
            artifact: The artifact's id, 32 bytes.
            max_bytes: The longest content that is accepted, in bytes.
            prove: Makes a proof for what the server holds for a private campaign; None asks for
                what everybody may have.

        Returns:
            The content, whose hash is the artifact's id.

        Raises:
            RpcError: ARTIFACT_NOT_FOUND when the server does not hold it; another code when it
                refused, or could not be reached in `MAX_FAILURES` attempts.
            RefusalError: TOO_LARGE when it is longer than `max_bytes`; BAD_ARTIFACT or BAD_CHUNK
                when the server sent something else than the id stands for. The message names the
                server.
        """
        manifest = await self._manifest(artifact, max_bytes, prove)
        chunks: list[bytes] = []

        def keep(index: int, data: bytes) -> None:
            check_chunk(manifest, index, data)
            chunks.append(data)

        failures, backoff = 0, Backoff(FIRST_PAUSE_S, MAX_PAUSE_S)
        while len(chunks) < len(manifest.chunk_hashes):
            before = len(chunks)
            try:
                await self._receive(manifest, before, keep, prove)
            except RpcError as error:
                if len(chunks) > before:
                    failures = 0
                    backoff.reset()
                failures += 1
                if failures == MAX_FAILURES or not error.is_transient:
                    raise
                await asyncio.sleep(backoff.next_pause())
        return b"".join(chunks)

    async def download_into(
        self,
        store: ArtifactStore,
        artifact: bytes,
        max_bytes: int = MAX_ARTIFACT_BYTES,
        prove: Prove | None = None,
    ) -> int:
        """Fetch an artifact into a store, each chunk checked as it arrives, in one attempt.

        Resumes an earlier download into this store, even if that was from another server. After a
        failure the caller decides which server to ask next.

        Args:
            store: The store for the chunks; it keeps those that arrived when the call fails.
            artifact: The artifact's id, 32 bytes.
            max_bytes: The largest size that is accepted, in bytes.
            prove: As in `download`; `store` is then the campaign's room.

        Returns:
            How many chunks were fetched; 0 when the store had the artifact.

        Raises:
            RpcError: ARTIFACT_NOT_FOUND when the server does not hold it; another code when it
                refused, went away or could not be reached.
            RefusalError: BAD_ARTIFACT or BAD_CHUNK when the server sent something else than the
                id stands for; the message names the server. TOO_LARGE or STORE_FULL from the
                store.
        """
        if store.has(artifact):
            return 0
        manifest = await self._manifest(artifact, max_bytes, prove)
        first = await asyncio.to_thread(store.begin, manifest)

        def keep(index: int, data: bytes) -> None:
            store.add_chunk(artifact, index, data)

        await self._receive(manifest, first, keep, prove)
        return len(manifest.chunk_hashes) - first

    async def _manifest(
        self, artifact: bytes, max_bytes: int, prove: Prove | None
    ) -> ArtifactManifest:
        request = pb.GetManifestRequest(id=artifact, proof=await make_proof(prove))
        reply = await self._client.call(self._stub.GetManifest, request)
        manifest = reply.manifest
        try:
            await asyncio.to_thread(check_manifest, manifest, max_bytes)
            if manifest.id != artifact:
                raise RefusalError(
                    DataCode.BAD_ARTIFACT,
                    f"manifest.id is {manifest.id.hex()}, but {artifact.hex()} was asked for",
                    field="manifest.id",
                )
        except RefusalError as refusal:
            raise self._blamed(refusal) from None
        return manifest

    async def _receive(
        self,
        manifest: ArtifactManifest,
        first: int,
        keep: Callable[[int, bytes], None],
        prove: Prove | None,
    ) -> None:
        """Receive the chunks from `first` on, and have each checked and kept in a thread."""
        count = len(manifest.chunk_hashes)
        if first == count:
            return
        proof = await make_proof(prove)
        request = pb.DownloadRequest(id=manifest.id, first_chunk=first, proof=proof)
        with self._client.open_stream(self._stub.Download, request) as replies:
            for index in range(first, count):
                reply = await replies.read(CHUNK_S)
                if reply is None:
                    raise RpcError(
                        StatusCode.UNAVAILABLE,
                        "UNAVAILABLE",
                        f"ended the download before chunk {index} of {count}",
                        target=self._client.target,
                    )
                try:
                    if reply.index != index:
                        raise RefusalError(
                            DataCode.BAD_CHUNK,
                            f"chunk {reply.index} came where chunk {index} is next",
                            field="index",
                            limit=str(index),
                        )
                    await asyncio.to_thread(keep, index, reply.data)
                except RefusalError as refusal:
                    if refusal.code is DataCode.BAD_CHUNK:
                        raise self._blamed(refusal) from None
                    raise

    def _blamed(self, refusal: RefusalError) -> RefusalError:
        return refusal.prefixed(f"{self._client.target} sent an artifact that is not accepted")
