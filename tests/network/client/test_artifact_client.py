"""Downloads go on where they broke off, and nothing is believed that the id does not prove."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from grpc import StatusCode

from fedcoin.data.artifacts.manifest import CHUNK_BYTES, build_manifest
from fedcoin.data.artifacts.store import ArtifactStore
from fedcoin.data.errors import DataCode, RefusalError
from fedcoin.network.artifacts.servicer import ArtifactServicer
from fedcoin.network.client import artifact_client
from fedcoin.network.client.artifact_client import MAX_FAILURES, ArtifactClient
from fedcoin.network.client.channels import open_channel
from fedcoin.network.client.grpc_client import GrpcClient
from fedcoin.network.client.rpc_error import RpcError
from fedcoin.v1 import artifact_service_pb2 as pb
from tests.support.artifact_listener import data, serving_at

CONTENT = data(5)
ID = build_manifest(CONTENT).id

Alter = Callable[[pb.DownloadResponse], pb.DownloadResponse | None]


class Altering(ArtifactServicer):
    """Alters each chunk of a download; None ends it."""

    def __init__(self, store: ArtifactStore, alter: Alter) -> None:
        super().__init__(store)
        self.alter = alter
        self.asked: list[int] = []

    async def Download(
        self, request: pb.DownloadRequest, context: Any
    ) -> AsyncIterator[pb.DownloadResponse]:
        self.asked.append(request.first_chunk)
        async for reply in super().Download(request, context):
            altered = self.alter(reply)
            if altered is None:
                return
            yield altered


class Silent(ArtifactServicer):
    """Begins a download and sends nothing."""

    async def Download(
        self, request: pb.DownloadRequest, context: Any
    ) -> AsyncIterator[pb.DownloadResponse]:
        await asyncio.sleep(60)
        yield pb.DownloadResponse()


@asynccontextmanager
async def client_of(servicer: ArtifactServicer) -> AsyncIterator[ArtifactClient]:
    async with (
        serving_at(servicer) as address,
        GrpcClient(address, open_channel(address), timeout=5) as client,
    ):
        yield ArtifactClient(client)


@pytest.fixture
def theirs(tmp_path: Path) -> ArtifactStore:
    """The server's store, with the content."""
    store = ArtifactStore(tmp_path / "theirs", 64 << 20)
    store.put(CONTENT)
    return store


@pytest.fixture
def mine(tmp_path: Path) -> ArtifactStore:
    return ArtifactStore(tmp_path / "mine", 64 << 20)


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(artifact_client, "FIRST_PAUSE_S", 0.01)


async def test_a_download_into_a_store_is_done_once(
    theirs: ArtifactStore, mine: ArtifactStore
) -> None:
    async with client_of(ArtifactServicer(theirs)) as client:
        assert await client.download(ID) == CONTENT
        assert await client.download_into(mine, ID) == 5
        assert await client.download_into(mine, ID) == 0
    assert mine.read(ID) == CONTENT


# Downloads into memory ----------------------------------------------------------------------------


def breaks_after_each(seen: list[int]) -> Alter:
    """Lets one new chunk through in each download."""

    def alter(reply: pb.DownloadResponse) -> pb.DownloadResponse | None:
        seen.append(reply.index)
        return reply if len(seen) % 2 else None

    return alter


async def test_a_download_goes_on_after_each_break(theirs: ArtifactStore) -> None:
    servicer = Altering(theirs, breaks_after_each([]))
    async with client_of(servicer) as client:
        assert await client.download(ID) == CONTENT
    assert servicer.asked == [0, 1, 2, 3, 4]


async def test_a_download_that_never_gets_further_fails(theirs: ArtifactStore) -> None:
    servicer = Altering(theirs, lambda reply: reply if reply.index < 3 else None)
    async with client_of(servicer) as client:
        with pytest.raises(RpcError, match="before chunk 3 of 5") as caught:
            await client.download(ID)
    assert caught.value.is_lost
    # The first attempt got further, and so counts as none.
    assert servicer.asked == [0] + [3] * (MAX_FAILURES - 1)


async def test_content_that_is_longer_than_wanted_is_refused(theirs: ArtifactStore) -> None:
    async with client_of(ArtifactServicer(theirs)) as client:
        with pytest.raises(RefusalError, match=r"127\.0\.0\.1") as caught:
            await client.download(ID, max_bytes=len(CONTENT) - 1)
    assert caught.value.code is DataCode.TOO_LARGE


# Downloads into a store ---------------------------------------------------------------------------


async def test_a_download_goes_on_from_another_server(
    theirs: ArtifactStore, mine: ArtifactStore
) -> None:
    async with client_of(Altering(theirs, lambda reply: reply if reply.index < 3 else None)) as one:
        with pytest.raises(RpcError, match="before chunk 3 of 5"):
            await one.download_into(mine, ID)
    assert mine.next_chunk(ID) == 3
    servicer = Altering(theirs, lambda reply: reply)
    async with client_of(servicer) as other:
        assert await other.download_into(mine, ID) == 2
    assert servicer.asked == [3]
    assert mine.read(ID) == CONTENT


async def test_a_server_that_fails_in_the_middle(
    theirs: ArtifactStore, mine: ArtifactStore
) -> None:
    def die(reply: pb.DownloadResponse) -> pb.DownloadResponse | None:
        if reply.index == 2:
            raise ConnectionResetError("on purpose")
        return reply

    async with client_of(Altering(theirs, die)) as client:
        with pytest.raises(RpcError):
            await client.download_into(mine, ID)
    assert mine.next_chunk(ID) == 2
    # The channel is closed by now.
    with pytest.raises(RpcError):
        await client.download_into(mine, ID)


async def test_a_silent_server_is_left(
    theirs: ArtifactStore, mine: ArtifactStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(artifact_client, "CHUNK_S", 0.2)
    async with client_of(Silent(theirs)) as client:
        with pytest.raises(RpcError, match="did not answer in time"):
            await client.download_into(mine, ID)


def forged(reply: pb.DownloadResponse) -> pb.DownloadResponse:
    return pb.DownloadResponse(index=reply.index, data=reply.data[:-1] + b"x")


def short(reply: pb.DownloadResponse) -> pb.DownloadResponse:
    return pb.DownloadResponse(index=reply.index, data=reply.data[:-1])


def skipping(reply: pb.DownloadResponse) -> pb.DownloadResponse:
    return pb.DownloadResponse(index=reply.index + 1, data=reply.data)


@pytest.mark.parametrize("lie", [forged, short, skipping])
async def test_a_wrong_chunk_is_found_at_once_and_its_sender_named(
    theirs: ArtifactStore,
    mine: ArtifactStore,
    lie: Callable[[pb.DownloadResponse], pb.DownloadResponse],
) -> None:
    servicer = Altering(theirs, lambda reply: lie(reply) if reply.index == 1 else reply)
    async with client_of(servicer) as client:
        for download in (client.download_into(mine, ID), client.download(ID)):
            with pytest.raises(RefusalError, match=r"^127\.0\.0\.1:\d+ sent") as caught:
                await download
            assert caught.value.code is DataCode.BAD_CHUNK
    assert mine.next_chunk(ID) == 1


async def test_a_manifest_of_something_else_is_found(
    theirs: ArtifactStore, mine: ArtifactStore
) -> None:
    class Another(ArtifactServicer):
        async def GetManifest(
            self, request: pb.GetManifestRequest, context: Any
        ) -> pb.GetManifestResponse:
            return pb.GetManifestResponse(manifest=build_manifest(b"something else"))

    async with client_of(Another(theirs)) as client:
        for download in (client.download_into(mine, ID), client.download(ID)):
            with pytest.raises(RefusalError, match=r"^127\.0\.0\.1:\d+ sent") as caught:
                await download
            assert caught.value.code is DataCode.BAD_ARTIFACT
    assert not mine.has(ID)


async def test_another_download_of_the_same_artifact_is_no_ones_fault(
    theirs: ArtifactStore, mine: ArtifactStore
) -> None:
    """Chunks that came from elsewhere meanwhile change nothing for this server."""

    def others_are_quicker(reply: pb.DownloadResponse) -> pb.DownloadResponse:
        for index in range(mine.next_chunk(ID), min(reply.index + 3, 5)):
            mine.add_chunk(ID, index, theirs.read_chunk(ID, index))
        return reply

    async with client_of(Altering(theirs, others_are_quicker)) as client:
        await client.download_into(mine, ID)
    assert mine.read(ID) == CONTENT


async def test_a_full_store_is_not_the_servers_fault(theirs: ArtifactStore, tmp_path: Path) -> None:
    small = ArtifactStore(tmp_path / "small", 6 * CHUNK_BYTES)
    small.put(data(2, seed=1))
    async with client_of(ArtifactServicer(theirs)) as client:
        with pytest.raises(RefusalError) as caught:
            await client.download_into(small, ID)
    assert caught.value.code is DataCode.STORE_FULL
    assert "127.0.0.1" not in str(caught.value)


async def test_what_the_server_does_not_have(mine: ArtifactStore, theirs: ArtifactStore) -> None:
    async with client_of(ArtifactServicer(theirs)) as client:
        for download in (client.download_into(mine, bytes(32)), client.download(bytes(32))):
            with pytest.raises(RpcError) as caught:
                await download
            assert (caught.value.status, caught.value.code) == (
                StatusCode.NOT_FOUND,
                "ARTIFACT_NOT_FOUND",
            )
            assert not caught.value.is_transient
