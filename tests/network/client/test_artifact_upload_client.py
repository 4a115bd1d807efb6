"""Uploads go on where they broke off."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from grpc import StatusCode

from fedcoin.data.artifacts.manifest import CHUNK_BYTES, MAX_ARTIFACT_BYTES, build_manifest
from fedcoin.data.artifacts.store import ArtifactStore
from fedcoin.data.errors import RefusalError
from fedcoin.network.artifacts.upload_servicer import ArtifactUploadServicer
from fedcoin.network.client import artifact_upload_client
from fedcoin.network.client.artifact_client import MAX_FAILURES
from fedcoin.network.client.artifact_upload_client import ArtifactUploadClient
from fedcoin.network.client.channels import open_channel
from fedcoin.network.client.grpc_client import GrpcClient
from fedcoin.network.client.rpc_error import RpcError
from fedcoin.network.errors import NetworkCode
from fedcoin.v1 import artifact_upload_service_pb2 as pb
from tests.support.artifact_listener import data, serving_at

CONTENT = data(5)
ID = build_manifest(CONTENT).id


class Breaking(ArtifactUploadServicer):
    """Ends each upload after some messages, as a node does that stops."""

    def __init__(self, store: ArtifactStore, messages: int, times: int) -> None:
        super().__init__(store)
        self.messages = messages
        self.left = times
        self.begun = 0

    async def Upload(
        self, request_iterator: AsyncIterator[pb.UploadRequest], context: Any
    ) -> pb.UploadResponse:
        self.begun += 1
        breaks, self.left = self.left > 0, self.left - 1

        async def cut() -> AsyncIterator[pb.UploadRequest]:
            count = 0
            async for request in request_iterator:
                if breaks and count == self.messages:
                    raise RefusalError(NetworkCode.SHUTTING_DOWN, "gone")
                count += 1
                yield request

        try:
            return await super().Upload(cut(), context)
        except RefusalError:
            # As the real servicer does: gRPC's client hides the reason of a call that ends while
            # it writes.
            async for _ in request_iterator:
                pass
            raise


@asynccontextmanager
async def client_of(servicer: ArtifactUploadServicer) -> AsyncIterator[ArtifactUploadClient]:
    async with (
        serving_at(servicer) as address,
        GrpcClient(address, open_channel(address), timeout=5) as client,
    ):
        yield ArtifactUploadClient(client)


@pytest.fixture
def store(tmp_path: Path) -> ArtifactStore:
    """The server's store."""
    return ArtifactStore(tmp_path / "store", 64 << 20)


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(artifact_upload_client, "FIRST_PAUSE_S", 0.01)


async def test_a_file_is_uploaded_once(store: ArtifactStore, tmp_path: Path) -> None:
    path = tmp_path / "weights"
    path.write_bytes(CONTENT)
    async with client_of(ArtifactUploadServicer(store)) as client:
        assert not await client.has(ID)
        assert await client.upload(path) == ID
        assert await client.upload(CONTENT) == ID
        assert await client.has(ID)
        assert store.read(ID) == CONTENT


async def test_an_upload_goes_on_where_another_broke_off(store: ArtifactStore) -> None:
    store.begin(build_manifest(CONTENT))
    for index in range(3):
        store.add_chunk(ID, index, CONTENT[index * CHUNK_BYTES : (index + 1) * CHUNK_BYTES])
    servicer = Breaking(store, 0, times=0)
    async with client_of(servicer) as client:
        assert await client.upload(CONTENT) == ID
    assert servicer.begun == 1
    assert store.read(ID) == CONTENT


async def test_an_upload_goes_on_after_each_break(store: ArtifactStore) -> None:
    # The manifest and a chunk get through each time.
    servicer = Breaking(store, 2, times=4)
    async with client_of(servicer) as client:
        assert await client.upload(CONTENT) == ID
    assert servicer.begun == 5
    assert store.read(ID) == CONTENT


async def test_an_upload_that_never_gets_further_fails(store: ArtifactStore) -> None:
    servicer = Breaking(store, 1, times=100)
    async with client_of(servicer) as client:
        with pytest.raises(RpcError) as caught:
            await client.upload(CONTENT)
    assert caught.value.code == "SHUTTING_DOWN"
    assert servicer.begun == MAX_FAILURES


async def test_an_upload_that_is_too_large_is_refused(tmp_path: Path) -> None:
    small = ArtifactStore(tmp_path / "small", 64 << 20, max_artifact_bytes=CHUNK_BYTES)
    async with client_of(ArtifactUploadServicer(small)) as client:
        with pytest.raises(RpcError) as caught:
            await client.upload(CONTENT)
    assert (caught.value.status, caught.value.code) == (StatusCode.RESOURCE_EXHAUSTED, "TOO_LARGE")
    assert len(CONTENT) < MAX_ARTIFACT_BYTES
