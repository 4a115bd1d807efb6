"""The download service: its replies and its refusals."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import grpc
import pytest

from fedcoin.data.artifacts.manifest import CHUNK_BYTES, build_manifest
from fedcoin.data.artifacts.store import ArtifactStore
from fedcoin.network.error_details import read_error_details
from fedcoin.v1 import artifact_service_pb2 as pb
from fedcoin.v1.artifact_service_pb2_grpc import ArtifactServiceStub
from tests.support.artifact_listener import data, serving

CONTENT = data(4)
MANIFEST = build_manifest(CONTENT)
CHUNKS = [CONTENT[start : start + CHUNK_BYTES] for start in range(0, len(CONTENT), CHUNK_BYTES)]


@pytest.fixture
def store(tmp_path: Path) -> ArtifactStore:
    return ArtifactStore(tmp_path / "store", 8 << 20, 4 << 20)


@pytest.fixture
async def stub(store: ArtifactStore) -> AsyncIterator[Any]:
    async with serving(store) as channel:
        yield ArtifactServiceStub(channel)


async def refused(call: Any, status: grpc.StatusCode, reason: str) -> grpc.aio.AioRpcError:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    assert (caught.value.code(), read_error_details(caught.value).reason) == (status, reason)
    return caught.value


async def test_a_download_begins_with_any_chunk(stub: Any, store: ArtifactStore) -> None:
    store.put(CONTENT)
    assert (await stub.GetManifest(pb.GetManifestRequest(id=MANIFEST.id))).manifest == MANIFEST
    for first in range(4):
        call = stub.Download(pb.DownloadRequest(id=MANIFEST.id, first_chunk=first))
        replies = [(reply.index, reply.data) async for reply in call]
        assert replies == list(enumerate(CHUNKS))[first:]


@pytest.mark.parametrize(
    ("id", "status", "reason"),
    [
        (bytes(32), grpc.StatusCode.NOT_FOUND, "ARTIFACT_NOT_FOUND"),
        (b"short", grpc.StatusCode.INVALID_ARGUMENT, "MALFORMED"),
    ],
)
async def test_what_is_not_there(stub: Any, id: bytes, status: Any, reason: str) -> None:
    await refused(stub.GetManifest(pb.GetManifestRequest(id=id)), status, reason)
    await refused(stub.Download(pb.DownloadRequest(id=id)).read(), status, reason)


async def test_a_download_begins_within_the_artifact(stub: Any, store: ArtifactStore) -> None:
    store.put(CONTENT)
    call = stub.Download(pb.DownloadRequest(id=MANIFEST.id, first_chunk=4))
    error = await refused(call.read(), grpc.StatusCode.OUT_OF_RANGE, "OUT_OF_RANGE")
    assert read_error_details(error).limit == "3"
