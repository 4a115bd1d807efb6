"""Moving artifacts: resume after a broken transfer, and no trust in what comes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import grpc
import pytest

from fedcoin.data.artifacts.manifest import manifest_of
from fedcoin.data.artifacts.store import ArtifactStore
from fedcoin.data.errors import DataCode, RefusalError
from fedcoin.network.artifacts import client
from fedcoin.network.artifacts.client import download_artifact, upload_artifact
from fedcoin.network.artifacts.servicer import ArtifactServicer
from fedcoin.network.calls import CallError
from fedcoin.v1 import artifact_service_pb2 as pb
from fedcoin.v1.artifact_service_pb2_grpc import ArtifactServiceStub
from tests.support.artifact_listener import data, open_servicer, serving

CONTENT = data(5)


def make_store(path: Path) -> ArtifactStore:
    return ArtifactStore(path, 64 << 20)


class Unreliable(ArtifactServicer):
    """Does something to each reply of a download."""

    def __init__(
        self,
        store: ArtifactStore,
        alter: Callable[[pb.DownloadResponse], pb.DownloadResponse | None],
    ) -> None:
        super().__init__(store, uploads=True)
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


def unchanged(reply: pb.DownloadResponse) -> pb.DownloadResponse | None:
    return reply


async def test_there_and_back(tmp_path: Path) -> None:
    mine, theirs, other = (make_store(tmp_path / name) for name in ("mine", "theirs", "other"))
    id = mine.put(CONTENT)
    async with serving(open_servicer(theirs)) as channel:
        stub: Any = ArtifactServiceStub(channel)
        assert await upload_artifact(stub, id, mine) == 5
        assert await upload_artifact(stub, id, mine) == 0
        assert await download_artifact(stub, id, other) == 5
        assert await download_artifact(stub, id, other) == 0
    assert other.read(id) == CONTENT


async def test_a_download_goes_on_where_it_broke_off(tmp_path: Path) -> None:
    theirs, mine = make_store(tmp_path / "theirs"), make_store(tmp_path / "mine")
    id = theirs.put(CONTENT)
    servicer = Unreliable(theirs, lambda reply: reply if reply.index < 3 else None)
    async with serving(servicer) as channel:
        stub: Any = ArtifactServiceStub(channel)
        with pytest.raises(CallError, match="before chunk 3 of 5"):
            await download_artifact(stub, id, mine)
    assert mine.next_chunk(id) == 3
    # The rest from somebody else.
    servicer = Unreliable(theirs, unchanged)
    async with serving(servicer) as channel:
        stub = ArtifactServiceStub(channel)
        assert await download_artifact(stub, id, mine) == 2
    assert servicer.asked == [3]
    assert mine.read(id) == CONTENT


async def test_a_server_that_goes_away_in_the_middle(tmp_path: Path) -> None:
    theirs, mine = make_store(tmp_path / "theirs"), make_store(tmp_path / "mine")
    id = theirs.put(CONTENT)

    def die(reply: pb.DownloadResponse) -> pb.DownloadResponse | None:
        if reply.index == 2:
            raise ConnectionResetError("on purpose")
        return reply

    async with serving(Unreliable(theirs, die)) as channel:
        with pytest.raises(CallError):
            await download_artifact(ArtifactServiceStub(channel), id, mine)
    assert mine.next_chunk(id) == 2
    # The channel is closed by now.
    with pytest.raises(CallError):
        await download_artifact(ArtifactServiceStub(channel), id, mine)


async def test_who_sends_nothing_is_not_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client, "CHUNK_S", 0.2)
    theirs, mine = make_store(tmp_path / "theirs"), make_store(tmp_path / "mine")
    id = theirs.put(CONTENT)
    servicer = Silent(theirs, uploads=False)
    async with serving(servicer) as channel:
        with pytest.raises(CallError, match="nothing came for"):
            await download_artifact(ArtifactServiceStub(channel), id, mine)


class Silent(ArtifactServicer):
    """Begins a download and says nothing."""

    async def Download(
        self, request: pb.DownloadRequest, context: Any
    ) -> AsyncIterator[pb.DownloadResponse]:
        await asyncio.sleep(60)
        yield pb.DownloadResponse()


def forged(reply: pb.DownloadResponse) -> pb.DownloadResponse:
    return pb.DownloadResponse(index=reply.index, data=reply.data[:-1] + b"x")


def short(reply: pb.DownloadResponse) -> pb.DownloadResponse:
    return pb.DownloadResponse(index=reply.index, data=reply.data[:-1])


def skipping(reply: pb.DownloadResponse) -> pb.DownloadResponse:
    return pb.DownloadResponse(index=reply.index + 1, data=reply.data)


@pytest.mark.parametrize("lie", [forged, short, skipping])
async def test_a_wrong_chunk_is_found_at_once(
    tmp_path: Path, lie: Callable[[pb.DownloadResponse], pb.DownloadResponse]
) -> None:
    theirs, mine = make_store(tmp_path / "theirs"), make_store(tmp_path / "mine")
    id = theirs.put(CONTENT)
    servicer = Unreliable(theirs, lambda reply: lie(reply) if reply.index == 1 else reply)
    async with serving(servicer) as channel:
        with pytest.raises(RefusalError) as caught:
            await download_artifact(ArtifactServiceStub(channel), id, mine)
    assert caught.value.code is DataCode.BAD_CHUNK
    assert mine.next_chunk(id) == 1


async def test_a_wrong_manifest_is_found(tmp_path: Path) -> None:
    theirs, mine = make_store(tmp_path / "theirs"), make_store(tmp_path / "mine")
    id = theirs.put(CONTENT)

    class Another(ArtifactServicer):
        async def GetManifest(
            self, request: pb.GetManifestRequest, context: Any
        ) -> pb.GetManifestResponse:
            return pb.GetManifestResponse(manifest=manifest_of(b"something else"))

    async with serving(Another(theirs, uploads=False)) as channel:
        with pytest.raises(RefusalError) as caught:
            await download_artifact(ArtifactServiceStub(channel), id, mine)
    assert caught.value.code is DataCode.BAD_ARTIFACT
    assert not mine.has(id)


async def test_no_is_told_from_lost(tmp_path: Path) -> None:
    store = make_store(tmp_path / "mine")
    async with serving(open_servicer(make_store(tmp_path / "theirs"))) as channel:
        with pytest.raises(CallError) as caught:
            await download_artifact(ArtifactServiceStub(channel), bytes(32), store)
        assert caught.value.code is grpc.StatusCode.NOT_FOUND
        assert caught.value.reason == "ARTIFACT_NOT_FOUND"
        assert not caught.value.lost
    id = store.put(CONTENT)
    async with grpc.aio.insecure_channel("127.0.0.1:1") as nowhere:
        with pytest.raises(CallError):
            await download_artifact(ArtifactServiceStub(nowhere), bytes(32), store)
        with pytest.raises(CallError):
            await upload_artifact(ArtifactServiceStub(nowhere), id, store)


async def test_an_upload_goes_on_where_it_broke_off(tmp_path: Path) -> None:
    mine, theirs = make_store(tmp_path / "mine"), make_store(tmp_path / "theirs")
    id = mine.put(CONTENT)
    theirs.begin(mine.manifest(id))
    for index in range(3):
        theirs.add_chunk(id, index, mine.read_chunk(id, index))
    async with serving(open_servicer(theirs)) as channel:
        assert await upload_artifact(ArtifactServiceStub(channel), id, mine) == 2
    assert theirs.read(id) == CONTENT
