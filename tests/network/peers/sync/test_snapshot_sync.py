"""New nodes that begin from a snapshot of honest and dishonest peers."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import grpc
import pytest

from fedcoin.data.storage.chain_store import ChainStore
from fedcoin.data.storage.snapshot_files import read_raw_parts
from fedcoin.network.error_details import read_error_details
from fedcoin.network.peers.sync import snapshot_server, snapshot_sync
from fedcoin.v1 import block_gossip_service_pb2 as pb
from fedcoin.v1.snapshot_pb2 import SnapshotPart
from tests.support.ledger_snapshots import chain_in, file_of, parts, snapshot_of
from tests.support.new_nodes import (
    AT,
    Grown,
    joined,
    new_node,
    place,
    score,
    shrink_chunks,
    source,
)
from tests.support.peer_nodes import PeerNode, running, visiting
from tests.support.waiting import until


@pytest.fixture(autouse=True)
def small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    shrink_chunks(monkeypatch)
    monkeypatch.setattr(snapshot_sync, "PAUSE_S", 0.05)


@pytest.fixture(scope="module")
def grown(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Grown]:
    made = Grown(tmp_path_factory.mktemp("grown"))
    yield made
    made.store.close()


def chunks_in(contents: list[SnapshotPart]) -> int:
    return sum(part.HasField("chunk") for part in contents)


async def test_a_new_node_begins_from_a_snapshot_and_follows(
    tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    grown = Grown(tmp_path_factory.mktemp("own"))
    first = await source(tmp_path, grown, 0)
    late = new_node(tmp_path, grown)
    async with running(first, late):
        await late.network.add(first.address)
        await joined(late, grown)
        assert late.store.block(AT) is None
        assert late.store.block(AT + 1) is not None
        for _ in range(3):
            grown.produce()
            await first.chain.import_block(grown.chain.blocks[-1], grown.chain.certificates[-1])
        await joined(late, grown)
        assert score(late, 0) == 0
        # It serves the snapshot and its blocks to others.
        later = new_node(tmp_path, grown, 4)
        async with running(later):
            await later.network.add(late.address)
            await joined(later, grown)
    grown.store.close()
    with ChainStore.open(tmp_path / "5" / "chain.sqlite", grown.chain.genesis) as store:
        assert (store.base_height(), store.height()) == (AT, grown.chain.height)


async def test_a_node_without_the_setting_replays_the_chain(tmp_path: Path, grown: Grown) -> None:
    first = await source(tmp_path, grown, 0)
    late, near = new_node(tmp_path, grown, 4, join_behind=0), new_node(tmp_path, grown, 5, 17)
    async with running(first, late, near):
        for node in (late, near):
            await node.network.add(first.address)
            await joined(node, grown, base=0)


async def test_without_snapshots_the_chain_is_replayed(tmp_path: Path, grown: Grown) -> None:
    first = await source(tmp_path, grown, 0, snapshot=False)
    late = new_node(tmp_path, grown)
    async with running(first, late):
        await late.network.add(first.address)
        await joined(late, grown, base=0)
        assert score(late, 0) == 0


async def with_liar(
    folder: Path, grown: Grown, corrupt: Callable[[list[bytes]], list[bytes]]
) -> PeerNode:
    """Join while the first peer sends a wrong part, and then an honest peer appears."""
    liar = await source(folder, grown, 0)
    honest = await source(folder, grown, 1)
    place(liar, corrupt(list(read_raw_parts(grown.file))))
    late = new_node(folder, grown)
    async with running(liar, honest, late):
        await late.network.add(liar.address)
        await until(lambda: score(late, 0) >= 10)
        await late.network.add(honest.address)
        await joined(late, grown)
        assert score(late, 1) == 0
    return late


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A node with only a lying peer must wait for another one."""
    monkeypatch.setattr(snapshot_sync, "MAX_ATTEMPTS", 1_000)


def changed(raw: bytes) -> bytes:
    part = SnapshotPart.FromString(raw)
    part.chunk.entries[0].value += b"x"
    return part.SerializeToString()


@pytest.mark.usefixtures("patient")
async def test_a_wrong_chunk_is_refused_and_another_peer_continues(
    tmp_path: Path, grown: Grown, caplog: pytest.LogCaptureFixture
) -> None:
    taken: list[int] = []
    take = snapshot_sync.PartialSnapshot.take

    def counted(incoming: snapshot_sync.PartialSnapshot, raw: bytes) -> None:
        take(incoming, raw)
        taken.append(incoming.check.num_chunks)

    with pytest.MonkeyPatch.context() as patch, caplog.at_level("DEBUG", "fedcoin"):
        patch.setattr(snapshot_sync.PartialSnapshot, "take", counted)
        await with_liar(tmp_path, grown, lambda raws: [*raws[:-2], changed(raws[-2]), raws[-1]])
    # Correct parts from the liar are kept: no chunk was fetched twice.
    chunks = [number for number in taken if number]
    assert chunks == sorted(set(chunks))
    assert "chunk" in caplog.text


@pytest.mark.usefixtures("patient")
async def test_a_wrong_head_is_refused(tmp_path: Path, grown: Grown) -> None:
    def corrupt(raws: list[bytes]) -> list[bytes]:
        contents = [SnapshotPart.FromString(raw) for raw in raws]
        for part in contents:
            if part.HasField("head"):
                part.head.certificate = part.head.certificate[:-1] + b"x"
        return [part.SerializeToString() for part in contents]

    await with_liar(tmp_path, grown, corrupt)


@pytest.mark.usefixtures("patient")
async def test_a_snapshot_of_another_height_is_refused(tmp_path: Path, grown: Grown) -> None:
    other = chain_in(tmp_path / "short", AT - 2)
    assert other.store is not None
    file = snapshot_of(other.store, other.genesis, tmp_path / "other")
    other.store.close()
    await with_liar(tmp_path, grown, lambda raws: list(read_raw_parts(file)))


@pytest.mark.usefixtures("patient")
async def test_a_peer_that_breaks_off_is_replaced(tmp_path: Path, grown: Grown) -> None:
    await with_liar(tmp_path, grown, lambda raws: raws[:-3])


@pytest.mark.usefixtures("patient")
async def test_a_peer_that_is_too_slow_is_replaced(
    tmp_path: Path, grown: Grown, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The slow peer sends correct parts, one at a time, without end."""
    monkeypatch.setattr(snapshot_sync, "GRACE_S", 0.5)
    slow, honest = [await source(tmp_path, grown, number) for number in range(2)]
    place(slow, list(read_raw_parts(grown.file)), AT)
    parts_of = snapshot_server.SnapshotServer.parts

    async def drip(
        server: snapshot_server.SnapshotServer, height: int, first_chunk: int
    ) -> AsyncIterator[bytes]:
        async for part in parts_of(server, height, first_chunk):
            if server.folder is slow.snapshots:
                await asyncio.sleep(0.3)
            yield part

    monkeypatch.setattr(snapshot_server.SnapshotServer, "parts", drip)
    late = new_node(tmp_path, grown)
    async with running(slow, honest, late):
        await late.network.add(slow.address)
        await until(lambda: score(late, 0) > 5)
        await late.network.add(honest.address)
        await joined(late, grown)
        assert score(late, 1) == 0


async def test_parts_from_before_a_restart_are_not_fetched_again(
    tmp_path: Path, grown: Grown, monkeypatch: pytest.MonkeyPatch
) -> None:
    contents, late = parts(grown.file), new_node(tmp_path, grown)
    header_hash = grown.chain.blocks[AT - 1].hash
    kept = late.snapshots.incoming(AT, header_hash)
    file_of(kept, contents[:-2])
    size = kept.stat().st_size
    # The node was killed in the middle of a part, and had begun another snapshot before.
    with kept.open("ab") as file:
        file.write(b"\0\0\1\0half")
    (kept.parent / "incoming-3-00.part").write_bytes(b"x")
    asked: list[pb.StreamSnapshotRequest] = []
    first = await source(tmp_path, grown, 0)
    parts_of = snapshot_server.SnapshotServer.parts

    def watched(server: snapshot_server.SnapshotServer, height: int, first_chunk: int) -> object:
        asked.append(pb.StreamSnapshotRequest(height=height, first_chunk=first_chunk))
        return parts_of(server, height, first_chunk)

    monkeypatch.setattr(snapshot_server.SnapshotServer, "parts", watched)
    async with running(first, late):
        await late.network.add(first.address)
        await joined(late, grown)
    assert size < late.snapshots.path(AT).stat().st_size == grown.file.stat().st_size
    assert [request.first_chunk for request in asked] == [chunks_in(contents) - 1]
    assert os.listdir(kept.parent) == [f"{AT}.snapshot"]


async def test_a_peer_that_began_later_is_not_blamed(tmp_path: Path, grown: Grown) -> None:
    """A node that needs block 1 asks a peer without it, and then another one."""
    short, whole = new_node(tmp_path, grown, 0), await source(tmp_path, grown, 1)
    async with running(short, whole):
        await short.network.add(whole.address)
        await joined(short, grown)
        replaying = new_node(tmp_path, grown, 2, join_behind=0)
        async with running(replaying):
            await replaying.network.add(short.address)
            await until(lambda: replaying.peer(short).max_missing_height == 1)
            await replaying.network.add(whole.address)
            await joined(replaying, grown, base=0)
            assert score(replaying, 0) == score(replaying, 1) == 0


async def test_the_snapshot_server_limits_its_parts(
    tmp_path: Path, grown: Grown, monkeypatch: pytest.MonkeyPatch
) -> None:
    node = await source(tmp_path, grown, 0)
    raws = list(read_raw_parts(grown.file))
    chunks = chunks_in(parts(grown.file))

    async def refused(height: int, first_chunk: int = 0) -> tuple[str, grpc.StatusCode]:
        request = pb.StreamSnapshotRequest(height=height, first_chunk=first_chunk)
        call = link.gossip.StreamSnapshot(request, metadata=link.metadata)
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await call.read()
        return read_error_details(caught.value).reason, caught.value.code()

    async def given(first_chunk: int) -> list[bytes]:
        request = pb.StreamSnapshotRequest(height=AT, first_chunk=first_chunk)
        call = link.gossip.StreamSnapshot(request, metadata=link.metadata)
        return [reply.part async for reply in call]

    async with running(node), visiting(node) as link:
        listed = await link.gossip.ListSnapshots(pb.ListSnapshotsRequest(), metadata=link.metadata)
        assert [(one.height, one.block_hash, one.bytes) for one in listed.snapshots] == [
            (AT, grown.chain.blocks[AT - 1].hash, grown.file.stat().st_size)
        ]
        assert await given(0) == raws
        assert await given(1) == raws[-chunks:]
        assert await given(chunks) == raws[-1:]
        assert await refused(AT, chunks + 1) == (
            "OUT_OF_RANGE",
            grpc.StatusCode.OUT_OF_RANGE,
        )
        for height in (0, 11, 2**64 - 1):
            assert (await refused(height))[0] == "SNAPSHOT_NOT_FOUND"
        monkeypatch.setattr(snapshot_server, "MAX_STREAMS", 0)
        assert await refused(AT) == ("NO_ROOM", grpc.StatusCode.RESOURCE_EXHAUSTED)
        monkeypatch.undo()
        node.snapshots.path(AT).write_bytes(b"damaged")
        assert (await refused(AT))[0] == "SNAPSHOT_NOT_FOUND"


async def test_old_blocks_are_refused_with_a_word(tmp_path: Path, grown: Grown) -> None:
    short, whole = new_node(tmp_path, grown, 0), await source(tmp_path, grown, 1)
    async with running(short, whole):
        await short.network.add(whole.address)
        await joined(short, grown)
        async with visiting(short) as link:
            for height in (1, AT):
                for call in (
                    link.gossip.StreamBlocks(
                        pb.StreamBlocksRequest(from_height=height), metadata=link.metadata
                    ).read(),
                    link.gossip.ListHeaders(
                        pb.ListHeadersRequest(from_height=height), metadata=link.metadata
                    ),
                ):
                    with pytest.raises(grpc.aio.AioRpcError) as caught:
                        await call
                    assert caught.value.code() is grpc.StatusCode.NOT_FOUND
                    found = read_error_details(caught.value)
                    assert (found.reason, found.limit) == ("HISTORY_NOT_KEPT", str(AT + 1))
            reply = await link.gossip.ListHeaders(
                pb.ListHeadersRequest(from_height=AT + 1), metadata=link.metadata
            )
            assert len(reply.headers) == grown.chain.height - AT
