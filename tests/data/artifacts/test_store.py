from __future__ import annotations

import os
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from fedcoin.data.artifacts import upload_set
from fedcoin.data.artifacts.manifest import CHUNK_BYTES, build_manifest, iterate_chunks
from fedcoin.data.artifacts.store import ArtifactStore
from fedcoin.data.crypto import merkle
from fedcoin.data.errors import DataCode, RefusalError

MB = 1 << 20


def content(number: int, size: int = 2 * CHUNK_BYTES + 1_000) -> bytes:
    return number.to_bytes(8, "big") * (size // 8)


def upload(store: ArtifactStore, data: bytes, chunks: int) -> bytes:
    manifest = build_manifest(data)
    assert store.begin(manifest) == 0
    for index, chunk in enumerate(list(iterate_chunks(data))[:chunks]):
        assert store.add_chunk(manifest.id, index, chunk) == index + 1
    return manifest.id


def refused(action: Callable[[], object]) -> DataCode:
    with pytest.raises(RefusalError) as caught:
        action()
    code = caught.value.code
    assert isinstance(code, DataCode)
    return code


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "artifacts"


@pytest.fixture
def store(root: Path) -> ArtifactStore:
    return ArtifactStore(root, 10 * MB, 5 * MB)


def test_a_stored_artifact_is_there(store: ArtifactStore, root: Path) -> None:
    data = content(1)
    id = store.put(data)
    assert store.has(id)
    assert store.read(id) == data == store.path(id).read_bytes()
    assert store.size(id) == len(data) == store.used_bytes()
    assert store.manifest(id) == build_manifest(data)
    assert [store.read_chunk(id, i) for i in range(3)] == list(iterate_chunks(data))
    assert store.ids() == (id,)
    assert store.put(data) == id
    assert ArtifactStore(root, 10 * MB).read(id) == data


@pytest.mark.parametrize("has_manifest", [False, True])
def test_bytes_are_hashed_once(
    store: ArtifactStore, monkeypatch: pytest.MonkeyPatch, has_manifest: bool
) -> None:
    hashed: list[bytes] = []
    data, leaf_hash = content(1), merkle.leaf_hash

    def count(chunk: bytes) -> bytes:
        hashed.append(chunk)
        return leaf_hash(chunk)

    monkeypatch.setattr(merkle, "leaf_hash", count)
    id = store.put(data, build_manifest(data)) if has_manifest else store.put(data)
    assert len(hashed) == 3
    assert store.read(id) == data
    assert store.manifest(id) == build_manifest(data)


def test_a_file_is_copied(store: ArtifactStore, tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(content(1))
    id = store.put(path)
    path.unlink()
    assert store.read(id) == content(1)


def test_what_is_not_there(store: ArtifactStore) -> None:
    id = bytes(32)
    assert not store.has(id)
    assert store.size(id) is None
    assert store.next_chunk(id) == 0
    assert not store.remove(id)
    for action in (
        lambda: store.path(id),
        lambda: store.read(id),
        lambda: store.manifest(id),
        lambda: store.read_chunk(id, 0),
        lambda: store.add_chunk(id, 0, b"x"),
        lambda: store.check(id),
        lambda: store.path(b"../../etc/passwd"),
    ):
        assert refused(action) is DataCode.UNKNOWN_ARTIFACT


def test_an_upload_goes_on_where_it_was(store: ArtifactStore, root: Path) -> None:
    data = content(1)
    id = upload(store, data, 1)
    assert not store.has(id)
    assert store.next_chunk(id) == 1
    again = ArtifactStore(root, 10 * MB)
    assert again.next_chunk(id) == 1
    assert again.begin(build_manifest(data)) == 1
    chunks = list(iterate_chunks(data))
    assert again.add_chunk(id, 0, chunks[0]) == 1  # Stored already.
    assert again.add_chunk(id, 1, chunks[1]) == 2
    assert again.add_chunk(id, 2, chunks[2]) == 3
    assert again.read(id) == data
    assert again.begin(build_manifest(data)) == 3
    assert again.add_chunk(id, 1, b"ignored") == 3
    assert os.listdir(root / "partial") == []


def test_wrong_chunks_change_nothing(store: ArtifactStore) -> None:
    data = content(1)
    id = upload(store, data, 1)
    chunks = list(iterate_chunks(data))
    for index, chunk in (
        (1, chunks[1][:-1]),  # Short.
        (1, chunks[1] + b"x"),  # Long.
        (1, b"x" + chunks[1][1:]),  # Forged.
        (1, chunks[2]),  # Mismatched.
        (2, chunks[2]),  # Out of order.
        (0, chunks[1][:-1]),  # A wrong chunk in the place of a right one.
        (3, b""),
        (-1, chunks[0]),
    ):
        code = refused(lambda i=index, c=chunk: store.add_chunk(id, i, c))  # type: ignore[misc]
        assert code is DataCode.BAD_CHUNK
        assert store.next_chunk(id) == 1
    assert store.add_chunk(id, 1, chunks[1]) == 2
    assert store.add_chunk(id, 2, chunks[2]) == 3
    assert store.read(id) == data


def test_manifests_are_checked(store: ArtifactStore) -> None:
    manifest = build_manifest(content(1))
    manifest.size += CHUNK_BYTES
    assert refused(lambda: store.begin(manifest)) is DataCode.BAD_ARTIFACT
    assert refused(lambda: store.put(b"")) is DataCode.BAD_ARTIFACT
    assert refused(lambda: store.put(bytes(5 * MB + 1))) is DataCode.TOO_LARGE


def test_all_bytes_are_bounded(root: Path) -> None:
    store = ArtifactStore(root, 3 * MB)
    first = store.put(content(1, 2 * MB))
    assert refused(lambda: store.put(content(2, 2 * MB))) is DataCode.STORE_FULL
    assert refused(lambda: store.put(bytes(4 * MB))) is DataCode.TOO_LARGE
    assert store.has(first)
    store.remove(first)
    assert store.has(store.put(content(2, 2 * MB)))


def test_idle_uploads_make_room(root: Path) -> None:
    store = ArtifactStore(root, 3 * MB)
    idle = upload(store, content(1, 2 * MB), 6)
    busy = upload(store, content(2, MB), 2)
    store.put(content(3, 2 * MB))
    assert store.next_chunk(idle) == 0
    assert store.next_chunk(busy) == 2
    assert store.used_bytes() <= 3 * MB


def test_whole_artifacts_never_make_room(root: Path) -> None:
    store = ArtifactStore(root, 3 * MB)
    id = upload(store, content(1, 2 * MB), 6)  # There is still room for it.
    whole = store.put(content(2, MB + 2 * CHUNK_BYTES))
    chunk = list(iterate_chunks(content(1, 2 * MB)))[6]
    assert refused(lambda: store.add_chunk(id, 6, chunk)) is DataCode.STORE_FULL
    assert store.has(whole)


def test_uploads_are_bounded_in_number(
    store: ArtifactStore, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(upload_set, "MAX_UPLOADS", 3)
    ids = [upload(store, content(i, CHUNK_BYTES + 8), 1) for i in range(3)]
    store.begin(
        build_manifest(content(0, CHUNK_BYTES + 8))
    )  # No longer the least recently used one.
    upload(store, content(9, CHUNK_BYTES + 8), 1)
    assert [store.next_chunk(id) for id in ids] == [1, 0, 1]
    assert len(os.listdir(root / "partial")) == 6


def test_a_dropped_upload_can_begin_anew(store: ArtifactStore) -> None:
    id = upload(store, content(1), 2)
    assert store.remove(id)
    assert refused(lambda: store.add_chunk(id, 2, b"")) is DataCode.UNKNOWN_ARTIFACT
    assert store.put(content(1)) == id


def test_what_a_crash_leaves(store: ArtifactStore, root: Path) -> None:
    data = content(1)
    id = upload(store, data, 2)
    file = root / "partial" / f"{id.hex()}.data"
    # Of the second chunk, only a part reached the disk; the third is all zeros.
    file.write_bytes(file.read_bytes()[: CHUNK_BYTES + 100] + bytes(CHUNK_BYTES))
    (root / "partial" / "junk").write_bytes(b"x")
    (root / "partial" / f"{'0' * 64}.manifest").write_bytes(b"cut off")
    (root / f"{'0' * 64}.manifest").write_bytes(b"orphan")
    (root / "notes.txt").write_bytes(b"not ours")
    again = ArtifactStore(root, 10 * MB)
    assert again.next_chunk(id) == 1
    assert again.put(data) == id
    assert again.read(id) == data
    assert os.listdir(root / "partial") == []
    assert (root / "notes.txt").exists()
    assert not (root / f"{'0' * 64}.manifest").exists()


def test_a_crash_before_the_last_step(store: ArtifactStore, root: Path) -> None:
    data = content(1)
    id = upload(store, data, 2)
    file = root / "partial" / f"{id.hex()}.data"
    file.write_bytes(data)
    assert ArtifactStore(root, 10 * MB).read(id) == data
    # Between the two renames.
    os.replace(root / f"{id.hex()}.manifest", root / "partial" / f"{id.hex()}.manifest")
    again = ArtifactStore(root, 10 * MB)
    assert again.manifest(id) == build_manifest(data)
    assert os.listdir(root / "partial") == []


def test_a_damaged_artifact_is_found(store: ArtifactStore) -> None:
    id = store.put(content(1))
    assert store.check(id)
    store.path(id).write_bytes(content(2))
    assert not store.check(id)
    assert not store.has(id)


def test_many_uploaders_of_one_artifact(store: ArtifactStore) -> None:
    data = content(1, 8 * CHUNK_BYTES)
    results: list[bytes] = []
    threads = [threading.Thread(target=lambda: results.append(store.put(data))) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(results) == 6
    assert store.read(results[0]) == data


def test_many_uploaders_of_many_artifacts(store: ArtifactStore) -> None:
    errors: list[BaseException] = []

    def work(number: int) -> None:
        try:
            for i in range(4):
                id = store.put(content(number * 10 + i))
                assert store.read(id) == content(number * 10 + i)
                store.remove(id)
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=work, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert store.ids() == ()
    assert store.used_bytes() == 0


def test_a_failing_disk_is_no_refusal(
    store: ArtifactStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    from fedcoin.data.artifacts import upload as artifact_upload

    def fail(_: Path) -> None:
        raise OSError("no space left on device")

    data = content(1)
    id = upload(store, data, 2)
    last = list(iterate_chunks(data))[2]
    with monkeypatch.context() as patch:
        patch.setattr(artifact_upload, "sync_file", fail)
        with pytest.raises(OSError, match="no space"):
            store.add_chunk(id, 2, last)
    assert not store.has(id)
    assert store.add_chunk(id, 2, last) == 3
    assert store.read(id) == data


@pytest.mark.parametrize("claimed", [-500, 1, 7_000])
@pytest.mark.parametrize("restart", [False, True])
def test_a_claimed_size_is_not_believed(root: Path, claimed: int, restart: bool) -> None:
    data = content(9)
    store = ArtifactStore(root, 10 * MB, 5 * MB)
    lie = build_manifest(data)
    lie.size += claimed
    assert store.begin(lie) == 0
    chunks = list(iterate_chunks(data))
    assert store.add_chunk(lie.id, 0, chunks[0]) == 1
    if restart:
        store = ArtifactStore(root, 10 * MB, 5 * MB)
    assert store.begin(build_manifest(data)) == 1
    store.add_chunk(lie.id, 1, chunks[1])
    assert refused(lambda: store.add_chunk(lie.id, 2, chunks[2] + b"!")) is DataCode.BAD_CHUNK
    assert store.add_chunk(lie.id, 2, chunks[2]) == 3
    assert store.read(lie.id) == data
    assert store.size(lie.id) == len(data) == store.used_bytes()
    assert store.manifest(lie.id) == build_manifest(data)
    again = ArtifactStore(root, 10 * MB, 5 * MB)
    assert (again.size(lie.id), again.read(lie.id)) == (len(data), data)
