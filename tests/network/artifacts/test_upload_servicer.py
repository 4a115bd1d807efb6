"""The upload service: its replies, its refusals, and the listeners that offer it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import grpc
import pytest

from fedcoin.data.artifacts.manifest import CHUNK_BYTES, build_manifest
from fedcoin.data.artifacts.store import ArtifactStore
from fedcoin.network.error_details import read_error_details
from fedcoin.v1 import artifact_upload_service_pb2 as pb
from fedcoin.v1.artifact_pb2 import ArtifactManifest
from fedcoin.v1.artifact_upload_service_pb2_grpc import ArtifactUploadServiceStub
from tests.support.artifact_listener import data, serving
from tests.support.keys import STRANGER, key_of
from tests.support.node_core import make_network_genesis
from tests.support.peer_nodes import PeerNode, running, visiting
from tests.support.served_api import serve_api

CONTENT = data(4)
MANIFEST = build_manifest(CONTENT)
CHUNKS = [CONTENT[start : start + CHUNK_BYTES] for start in range(0, len(CONTENT), CHUNK_BYTES)]


@pytest.fixture
def store(tmp_path: Path) -> ArtifactStore:
    return ArtifactStore(tmp_path / "store", 8 << 20, 4 << 20)


@pytest.fixture
async def stub(store: ArtifactStore) -> AsyncIterator[Any]:
    async with serving(store) as channel:
        yield ArtifactUploadServiceStub(channel)


async def refused(call: Any, status: grpc.StatusCode, reason: str) -> grpc.aio.AioRpcError:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    assert (caught.value.code(), read_error_details(caught.value).reason) == (status, reason)
    return caught.value


def parts(
    chunks: Sequence[tuple[int, bytes]], manifest: ArtifactManifest | None = MANIFEST
) -> list[pb.UploadRequest]:
    head = [] if manifest is None else [pb.UploadRequest(manifest=manifest)]
    return head + [
        pb.UploadRequest(chunk=pb.ArtifactChunk(index=index, data=chunk)) for index, chunk in chunks
    ]


WHOLE = list(enumerate(CHUNKS))


async def test_what_was_uploaded_is_stored(stub: Any, store: ArtifactStore) -> None:
    status = await stub.GetUploadStatus(pb.GetUploadStatusRequest(id=MANIFEST.id))
    assert (status.next_chunk, status.complete) == (0, False)
    reply = await stub.Upload(iter(parts(WHOLE)))
    assert reply.id == MANIFEST.id
    assert store.read(MANIFEST.id) == CONTENT
    status = await stub.GetUploadStatus(pb.GetUploadStatusRequest(id=MANIFEST.id))
    assert (status.next_chunk, status.complete) == (4, True)


async def test_saying_it_again_changes_nothing(stub: Any, store: ArtifactStore) -> None:
    await stub.Upload(iter(parts(WHOLE)))
    await stub.Upload(iter(parts(WHOLE)))
    await stub.Upload(iter(parts([])))
    assert store.ids() == (MANIFEST.id,)


async def test_an_upload_that_broke_off_goes_on(stub: Any, store: ArtifactStore) -> None:
    error = await refused(
        stub.Upload(iter(parts(WHOLE[:2]))), grpc.StatusCode.INVALID_ARGUMENT, "CHUNK_OUT_OF_ORDER"
    )
    assert read_error_details(error).limit == "2"
    status = await stub.GetUploadStatus(pb.GetUploadStatusRequest(id=MANIFEST.id))
    assert (status.next_chunk, status.complete) == (2, False)
    await stub.Upload(iter(parts(WHOLE[2:])))
    assert store.read(MANIFEST.id) == CONTENT


async def test_two_uploads_of_one_artifact_share_their_chunks(
    stub: Any, store: ArtifactStore
) -> None:
    await asyncio.gather(*(stub.Upload(iter(parts(WHOLE))) for _ in range(4)))
    assert store.read(MANIFEST.id) == CONTENT


@pytest.mark.parametrize(
    ("place", "chunk"),
    [
        (1, CHUNKS[1][:-1] + b"x"),
        (1, CHUNKS[1][:-1]),
        (1, CHUNKS[1] + b"x"),
        (1, CHUNKS[2]),
        (1, b""),
        (2, CHUNKS[2]),
        (9, CHUNKS[1]),
    ],
    ids=["forged", "short", "long", "another", "empty", "out of order", "beyond the end"],
)
async def test_a_wrong_chunk_is_refused_and_what_was_right_is_kept(
    stub: Any, store: ArtifactStore, place: int, chunk: bytes
) -> None:
    wrong = parts([WHOLE[0], (place, chunk), *WHOLE[2:]])
    await refused(stub.Upload(iter(wrong)), grpc.StatusCode.INVALID_ARGUMENT, "BAD_CHUNK")
    assert store.next_chunk(MANIFEST.id) == 1
    assert not store.has(MANIFEST.id)
    await stub.Upload(iter(parts(WHOLE[1:])))
    assert store.read(MANIFEST.id) == CONTENT


def manifest(**changes: Any) -> ArtifactManifest:
    made = ArtifactManifest()
    made.CopyFrom(MANIFEST)
    for name, value in changes.items():
        if name == "chunk_hashes":
            made.chunk_hashes[:] = value
        else:
            setattr(made, name, value)
    return made


@pytest.mark.parametrize(
    ("upload", "reason"),
    [
        ([], "MALFORMED"),
        (parts(WHOLE, None), "MALFORMED"),
        ([pb.UploadRequest()], "MALFORMED"),
        ([*parts(WHOLE[:1]), pb.UploadRequest(manifest=MANIFEST)], "MALFORMED"),
        ([*parts(WHOLE[:1]), pb.UploadRequest()], "MALFORMED"),
        (parts(WHOLE, manifest(id=b"short")), "MALFORMED"),
        (parts(WHOLE, manifest(id=bytes(32))), "BAD_ARTIFACT"),
        (parts(WHOLE, manifest(size=0)), "BAD_ARTIFACT"),
        (parts(WHOLE, manifest(chunk_hashes=[bytes(32)] * 4)), "BAD_ARTIFACT"),
        (parts(WHOLE, manifest(chunk_hashes=[])), "BAD_ARTIFACT"),
    ],
)
async def test_what_makes_no_sense_is_refused(
    stub: Any, upload: list[pb.UploadRequest], reason: str
) -> None:
    await refused(stub.Upload(iter(upload)), grpc.StatusCode.INVALID_ARGUMENT, reason)


async def test_an_artifact_has_a_largest_size(stub: Any) -> None:
    huge = build_manifest(bytes(5 << 20))
    await refused(
        stub.Upload(iter(parts([], huge))), grpc.StatusCode.RESOURCE_EXHAUSTED, "TOO_LARGE"
    )


async def test_the_store_has_a_largest_size(stub: Any, store: ArtifactStore) -> None:
    for seed in range(2):
        store.put(data(15, seed))
    await refused(stub.Upload(iter(parts(WHOLE))), grpc.StatusCode.RESOURCE_EXHAUSTED, "STORE_FULL")


async def test_a_node_offers_uploads_on_its_api_and_not_to_its_peers(
    store: ArtifactStore, tmp_path: Path
) -> None:
    request = pb.GetUploadStatusRequest(id=MANIFEST.id)
    async with serve_api(tmp_path / "api") as live:
        api = ArtifactUploadServiceStub(live.node.channel)
        assert not (await api.GetUploadStatus(request)).complete
        await api.Upload(iter(parts(WHOLE)))
        assert live.artifacts.read(MANIFEST.id) == CONTENT
    node = PeerNode(tmp_path / "peer", make_network_genesis(), STRANGER)
    async with running(node), visiting(node, key_of("guest")) as link:
        peer = ArtifactUploadServiceStub(link.channel)
        for call in (
            peer.GetUploadStatus(request, metadata=link.metadata),
            peer.Upload(iter(parts(WHOLE)), metadata=link.metadata),
        ):
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await call
            assert caught.value.code() is grpc.StatusCode.UNIMPLEMENTED
        assert node.artifacts.ids() == ()
        # The same session may download.
        node.artifacts.put(CONTENT)
        assert await link.artifacts.download(MANIFEST.id) == CONTENT
