"""A new node gets a snapshot from the fastest of its peers, and keeps what it has of one."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from fedcoin.network.peers.sync import snapshot_server, snapshot_sync
from fedcoin.network.peers.sync.snapshot_sync import Rivals
from tests.conftest import ReportAttack
from tests.support.ledger_snapshots import file_of, parts, snapshot_of
from tests.support.new_nodes import AT, Grown, joined, new_node, place, score, shrink_chunks, source
from tests.support.peer_nodes import running

A, B = b"a" * 32, b"b" * 32


@pytest.fixture(autouse=True)
def small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    shrink_chunks(monkeypatch)
    monkeypatch.setattr(snapshot_sync, "PAUSE_S", 0.05)


def test_each_is_tried_and_then_the_fastest_until_it_is_outdone() -> None:
    rivals = Rivals([A, B])
    assert rivals.choose() == A
    assert rivals.is_outdone(A, 1e9), "the other one was not tried"
    assert rivals.choose() == B
    assert not rivals.is_outdone(B, 6e8)
    assert rivals.is_outdone(B, 4e8)
    assert rivals.choose() == A
    assert not rivals.is_outdone(A, 3e8)
    rivals.leave(A)
    assert rivals.choose() == B
    assert not rivals.is_outdone(B, 0.0)
    rivals.leave(B)
    assert rivals.choose() is None


@pytest.mark.attack
async def test_a_slow_peer_gives_way(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, report_attack: ReportAttack
) -> None:
    grown = Grown(tmp_path / "grown")
    monkeypatch.setattr(snapshot_sync, "TURN_S", 0.5)
    slow, honest = [await source(tmp_path, grown, number) for number in range(2)]
    parts_of = snapshot_server.SnapshotServer.parts
    sent = {True: 0, False: 0}

    async def drip(
        server: snapshot_server.SnapshotServer, height: int, first_chunk: int
    ) -> AsyncIterator[bytes]:
        is_slow = server.folder is slow.snapshots
        async for part in parts_of(server, height, first_chunk):
            await asyncio.sleep(0.4 if is_slow else 0)
            sent[is_slow] += 1
            yield part

    monkeypatch.setattr(snapshot_server.SnapshotServer, "parts", drip)
    # Much less than it would have to send would be enough for a peer that is alone.
    monkeypatch.setattr(snapshot_sync, "MIN_BYTES_PER_S", 1)
    late = new_node(tmp_path, grown)
    async with running(slow, honest, late):
        for node in (slow, honest):
            await late.network.add(node.address)
        began = time.monotonic()
        await joined(late, grown)
        took = time.monotonic() - began
        assert score(late, 0) == score(late, 1) == 0
    assert sent[False] > 0
    count = len(parts(grown.file))
    assert sent[True] < count // 2
    grown.store.close()
    report_attack(
        "be the first peer of a new node, and send it a snapshot at 64 KiB a second",
        "the whole snapshot comes at that rate, 4.5 h for 1 GB, whoever else has it",
        f"it gives way after 5 s: of {count} parts a slow one sent {sent[True]} before that",
    )
    assert took < 0.4 * count


async def test_parts_of_a_snapshot_that_a_peer_still_has_are_gone_on_with(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The peer has a newer one as well."""
    grown = Grown(tmp_path / "grown")
    contents = parts(grown.file)
    other = await source(tmp_path, grown, 0)
    late = new_node(tmp_path, grown, join_behind=6)
    kept = late.snapshots.incoming(AT, grown.chain.blocks[AT - 1].hash)
    file_of(kept, contents[:-2])
    top = snapshot_of(grown.store, grown.chain.genesis, tmp_path / "top.snapshot")
    place(other, [part.SerializeToString() for part in parts(top)], grown.chain.height)
    asked: list[tuple[int, int]] = []
    parts_of = snapshot_server.SnapshotServer.parts

    def watched(server: snapshot_server.SnapshotServer, height: int, first_chunk: int) -> object:
        asked.append((height, first_chunk))
        return parts_of(server, height, first_chunk)

    monkeypatch.setattr(snapshot_server.SnapshotServer, "parts", watched)
    async with running(other, late):
        await late.network.add(other.address)
        await joined(late, grown, base=AT)
    num_chunks = sum(part.HasField("chunk") for part in contents)
    assert asked == [(AT, num_chunks - 1)]
    grown.store.close()
