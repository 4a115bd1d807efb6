from __future__ import annotations

from pathlib import Path

import pytest

from fedcoin.data.artifacts.complete_artifacts import CompleteArtifacts
from fedcoin.data.artifacts.manifest import (
    CHUNK_BYTES,
    build_manifest,
    encode_manifest,
    iterate_chunks,
)
from fedcoin.data.errors import DataCode, RefusalError

DATA = bytes(range(250)) * (CHUNK_BYTES // 100)
MANIFEST = build_manifest(DATA)
ID = MANIFEST.id


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with one artifact of three chunks, written as the store writes it."""
    (tmp_path / f"{ID.hex()}.data").write_bytes(DATA)
    (tmp_path / f"{ID.hex()}.manifest").write_bytes(encode_manifest(MANIFEST))
    return tmp_path


def test_a_folder_is_read(folder: Path) -> None:
    artifacts = CompleteArtifacts(folder)
    assert artifacts.folder == folder
    assert artifacts.ids() == (ID,)
    assert artifacts.has(ID)
    assert artifacts.size(ID) == len(DATA)
    assert artifacts.read(ID) == artifacts.path(ID).read_bytes() == DATA
    assert artifacts.manifest(ID) == MANIFEST
    assert [artifacts.read_chunk(ID, i) for i in range(3)] == list(iterate_chunks(DATA))


@pytest.mark.parametrize("index", [-1, 3, 2**40])
def test_chunks_that_are_not_there(folder: Path, index: int) -> None:
    with pytest.raises(RefusalError) as caught:
        CompleteArtifacts(folder).read_chunk(ID, index)
    assert caught.value.code is DataCode.BAD_CHUNK


def test_a_damaged_manifest_is_made_again(folder: Path) -> None:
    path = folder / f"{ID.hex()}.manifest"
    path.write_bytes(b"rot")
    assert CompleteArtifacts(folder).manifest(ID) == MANIFEST
    assert path.read_bytes() == encode_manifest(MANIFEST)


def test_only_files_named_by_an_id_are_artifacts(folder: Path) -> None:
    (folder / "notes.data").write_bytes(b"x")
    (folder / f"{ID.hex().upper()}.data").write_bytes(b"x")
    (folder / f"{bytes(32).hex()}.data").mkdir()
    alone = folder / f"{(b'1' * 32).hex()}.manifest"
    alone.write_bytes(b"without content")
    assert CompleteArtifacts(folder).ids() == (ID,)
    assert not alone.exists()
