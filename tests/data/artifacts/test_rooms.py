"""What a store holds for a private campaign is apart from what it holds for others."""

from __future__ import annotations

from pathlib import Path

import pytest

from fedcoin.data.artifacts.manifest import CHUNK_BYTES, build_manifest
from fedcoin.data.artifacts.store import ArtifactStore, list_rooms, room_folder
from fedcoin.data.errors import DataCode, RefusalError
from tests.conftest import ReportAttack

ONE, TWO = b"1" * 32, b"2" * 32
CONTENT = b"weights" * 100


def test_an_artifact_of_a_room_is_nowhere_else(tmp_path: Path) -> None:
    store = ArtifactStore(tmp_path, 1 << 20)
    id = store.room(ONE).put(CONTENT)
    assert store.room(ONE).read(id) == CONTENT
    assert not store.has(id)
    assert store.next_chunk(id) == 0
    assert not store.room(TWO).has(id)
    assert store.room(b"") is store
    assert set(store.rooms()) == {ONE, TWO}


def test_a_whole_copy_must_come_for_everybody_before_everybody_has_it(tmp_path: Path) -> None:
    store = ArtifactStore(tmp_path, 1 << 22)
    content = bytes(CHUNK_BYTES + 1)
    manifest = build_manifest(content)
    # Even a part that came for a campaign is no part of another copy.
    store.room(ONE).begin(manifest)
    store.room(ONE).add_chunk(manifest.id, 0, content[:CHUNK_BYTES])
    assert store.begin(manifest) == 0
    with pytest.raises(RefusalError) as refused:
        store.add_chunk(manifest.id, 1, content[CHUNK_BYTES:])
    assert refused.value.code is DataCode.BAD_CHUNK


def test_rooms_are_there_after_a_restart(tmp_path: Path) -> None:
    id = ArtifactStore(tmp_path, 1 << 20).room(ONE).put(CONTENT)
    assert list_rooms(tmp_path) == [ONE]
    (tmp_path / "private" / "notes").mkdir()
    again = ArtifactStore(tmp_path, 1 << 20)
    assert again.ids() == ()
    assert again.room(ONE).ids() == (id,)
    assert again.room(ONE).path(id).parent == room_folder(tmp_path, ONE)


def test_empty_rooms_go_at_a_restart(tmp_path: Path) -> None:
    store = ArtifactStore(tmp_path, 1 << 22)
    id = store.room(ONE).put(CONTENT)
    begun = build_manifest(bytes(CHUNK_BYTES + 1))
    store.room(TWO).begin(begun)
    store.room(TWO).add_chunk(begun.id, 0, bytes(CHUNK_BYTES))
    assert not store.room(b"3" * 32).ids()
    again = ArtifactStore(tmp_path, 1 << 22)
    assert set(again.rooms()) == {ONE, TWO}
    assert again.room(ONE).has(id)
    assert again.room(TWO).next_chunk(begun.id) == 1
    assert list_rooms(tmp_path) == [ONE, TWO]


def test_rooms_share_the_limit(tmp_path: Path) -> None:
    store = ArtifactStore(tmp_path, 1000)
    store.put(bytes(400))
    store.room(ONE).put(bytes(401))
    assert store.used_bytes() == store.room(TWO).used_bytes() == 801
    for part in (store, store.room(ONE), store.room(TWO)):
        with pytest.raises(RefusalError) as refused:
            part.put(bytes(200))
        assert refused.value.code is DataCode.STORE_FULL
    store.room(TWO).put(bytes(199))


@pytest.mark.parametrize(("parts", "whole"), [(b"", ONE), (ONE, b""), (ONE, TWO)])
def test_parts_that_never_become_whole_keep_nothing_out_of_other_rooms(
    tmp_path: Path, parts: bytes, whole: bytes, report_attack: ReportAttack
) -> None:
    store = ArtifactStore(tmp_path, 3 * CHUNK_BYTES)
    # The attacker's upload lacks its last chunk for ever.
    content = bytes(3 * CHUNK_BYTES)
    manifest = build_manifest(content)
    store.room(parts).begin(manifest)
    for index in range(2):
        store.room(parts).add_chunk(manifest.id, index, content[:CHUNK_BYTES])
    id = store.room(whole).put(b"w" * 2 * CHUNK_BYTES)
    assert store.room(whole).has(id)
    assert store.room(parts).next_chunk(manifest.id) == 0
    assert store.used_bytes() == 2 * CHUNK_BYTES
    report_attack(
        "fill a node's store with uploads that never end",
        "STORE_FULL for the artifacts of all others",
        "the unfinished upload that was not used for the longest time makes room",
    )


def test_the_upload_that_was_not_used_for_the_longest_time_makes_room(tmp_path: Path) -> None:
    store = ArtifactStore(tmp_path, 4 * CHUNK_BYTES)
    manifests = [build_manifest(bytes([value]) * 2 * CHUNK_BYTES) for value in range(4)]
    places = [store.room(ONE), store, store.room(TWO)]
    for place, manifest, value in zip(places, manifests, range(3), strict=False):
        place.begin(manifest)
        place.add_chunk(manifest.id, 0, bytes([value]) * CHUNK_BYTES)
    places[0].begin(manifests[0])
    store.room(TWO).put(b"\x03" * 2 * CHUNK_BYTES)
    kept = [place.next_chunk(m.id) for place, m in zip(places, manifests, strict=False)]
    assert kept == [1, 0, 1]
