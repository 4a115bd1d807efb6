from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedcoin.data.artifacts.manifest import (
    CHUNK_BYTES,
    MAX_ARTIFACT_BYTES,
    build_manifest,
    check_chunk,
    check_manifest,
    chunk_size,
    compute_artifact_id,
    count_chunks,
    decode_manifest,
    encode_manifest,
    iterate_chunks,
)
from fedcoin.data.crypto import merkle
from fedcoin.data.errors import DataCode, RefusalError
from fedcoin.v1.artifact_pb2 import ArtifactManifest
from tests.support.paths import read_vectors

DATA = bytes(range(256)) * 3_000  # Two chunks and a half.


def refused(manifest: ArtifactManifest, max_bytes: int = MAX_ARTIFACT_BYTES) -> DataCode:
    with pytest.raises(RefusalError) as caught:
        check_manifest(manifest, max_bytes)
    code = caught.value.code
    assert isinstance(code, DataCode)
    return code


def changed(**changes: Any) -> ArtifactManifest:
    manifest = build_manifest(DATA)
    parts = {"id": manifest.id, "size": manifest.size, "chunk_hashes": manifest.chunk_hashes}
    return ArtifactManifest(**{**parts, **changes})


def test_an_id_is_the_tree_hash_of_the_chunks() -> None:
    manifest = build_manifest(DATA)
    assert manifest.id == merkle.root(list(iterate_chunks(DATA))) == compute_artifact_id(DATA)
    assert manifest.size == len(DATA)
    assert len(manifest.chunk_hashes) == 3
    check_manifest(manifest)


def test_a_file_has_its_contents_id(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(DATA)
    assert build_manifest(path) == build_manifest(DATA)
    path.write_bytes(b"")
    with pytest.raises(RefusalError):
        build_manifest(path)


def test_golden_artifacts() -> None:
    for vector in read_vectors("artifacts"):
        data = bytes.fromhex(vector["unit"]) * vector["times"]
        manifest = build_manifest(data)
        assert len(data) == vector["size"]
        assert manifest.id.hex() == vector["id"]
        assert [value.hex() for value in manifest.chunk_hashes] == vector["chunk_hashes"]


@pytest.mark.parametrize("size", [1, CHUNK_BYTES - 1, CHUNK_BYTES, CHUNK_BYTES + 1])
def test_sizes_around_a_chunk(size: int) -> None:
    data = bytes(size)
    manifest = build_manifest(data)
    check_manifest(manifest)
    chunks = list(iterate_chunks(data))
    assert len(chunks) == count_chunks(size) == len(manifest.chunk_hashes)
    for index, chunk in enumerate(chunks):
        assert len(chunk) == chunk_size(size, index)
        check_chunk(manifest, index, chunk)


@pytest.mark.parametrize(
    ("manifest", "code"),
    [
        (changed(id=bytes(32)), DataCode.BAD_ARTIFACT),
        (changed(id=b"short"), DataCode.BAD_ARTIFACT),
        (changed(size=0), DataCode.BAD_ARTIFACT),
        (changed(size=CHUNK_BYTES), DataCode.BAD_ARTIFACT),
        (changed(size=MAX_ARTIFACT_BYTES + 1), DataCode.TOO_LARGE),
        (changed(size=2**64 - 1), DataCode.TOO_LARGE),
        (changed(chunk_hashes=[]), DataCode.BAD_ARTIFACT),
        (changed(chunk_hashes=[b"short"] * 3), DataCode.BAD_ARTIFACT),
        (
            changed(chunk_hashes=list(build_manifest(DATA).chunk_hashes)[::-1]),
            DataCode.BAD_ARTIFACT,
        ),
    ],
)
def test_manifests_that_do_not_fit(manifest: ArtifactManifest, code: DataCode) -> None:
    assert refused(manifest) is code


def test_the_callers_limit_counts() -> None:
    check_manifest(build_manifest(DATA), len(DATA))
    assert refused(build_manifest(DATA), len(DATA) - 1) is DataCode.TOO_LARGE


@pytest.mark.parametrize(
    ("index", "chunk"),
    [
        (0, b""),
        (0, DATA[: CHUNK_BYTES - 1]),
        (0, b"x" + DATA[1:CHUNK_BYTES]),
        (0, DATA),
        (1, DATA[: 2 * CHUNK_BYTES]),
        (2, DATA[2 * CHUNK_BYTES : -1]),
        (3, b""),
        (-1, DATA[2 * CHUNK_BYTES :]),
        (2**63, b""),
    ],
)
def test_chunks_that_do_not_fit(index: int, chunk: bytes) -> None:
    with pytest.raises(RefusalError) as caught:
        check_chunk(build_manifest(DATA), index, chunk)
    assert caught.value.code is DataCode.BAD_CHUNK


def test_nothing_is_no_artifact() -> None:
    with pytest.raises(RefusalError) as caught:
        compute_artifact_id(b"")
    assert caught.value.code is DataCode.BAD_ARTIFACT


def test_a_manifest_is_kept_as_bytes() -> None:
    manifest = build_manifest(DATA)
    assert decode_manifest(encode_manifest(manifest)) == manifest


@given(st.binary(max_size=200))
def test_any_bytes_are_no_manifest(raw: bytes) -> None:
    with pytest.raises(RefusalError):
        decode_manifest(raw)
