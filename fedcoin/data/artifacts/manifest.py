"""Artifacts: bytes named by their content, in chunks that can be checked one by one.

An artifact's id is the RFC 6962 tree hash over its chunks of 262,144 bytes, the last one
shorter. Its manifest lists the chunks' leaf hashes, from which the id follows, so that who
holds a manifest knows a wrong chunk when it arrives.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final

from fedcoin.data.crypto import merkle
from fedcoin.data.crypto.hashing import HASH_BYTES
from fedcoin.data.errors import DataCode, RefusalError
from fedcoin.data.messages import canonical
from fedcoin.v1.artifact_service_pb2 import ArtifactManifest

CHUNK_BYTES: Final = 262_144
"""The size of every chunk but the last, in bytes."""

MAX_ARTIFACT_BYTES: Final = 2_147_483_648
"""The largest artifact, in bytes."""


def build_manifest(data: bytes | Path) -> ArtifactManifest:
    """The manifest of some bytes, or of a file's.

    Raises `Refusal`: BAD_ARTIFACT when there are none, TOO_LARGE over `MAX_ARTIFACT_BYTES`.
    """
    size, hashes = 0, []
    for chunk in iterate_chunks(data):
        size += len(chunk)
        check_artifact_size(size)
        hashes.append(merkle.leaf_hash(chunk))
    check_artifact_size(size)
    return ArtifactManifest(id=merkle.root_from_hashes(hashes), size=size, chunk_hashes=hashes)


def compute_artifact_id(data: bytes | Path) -> bytes:
    """The 32-byte id of some bytes, or of a file's. Raises as `manifest_of` does."""
    return build_manifest(data).id


def check_manifest(manifest: ArtifactManifest, max_bytes: int = MAX_ARTIFACT_BYTES) -> None:
    """Check that size, chunk count and id of a manifest fit together.

    Raises `Refusal` (BAD_ARTIFACT; TOO_LARGE over `max_bytes`).
    """
    check_artifact_size(manifest.size, max_bytes)
    wanted = count_chunks(manifest.size)
    if len(manifest.chunk_hashes) != wanted:
        raise _refused(
            "manifest.chunk_hashes",
            f"are {len(manifest.chunk_hashes)}; {manifest.size} bytes make {wanted} chunks",
            str(wanted),
        )
    if any(len(value) != HASH_BYTES for value in (manifest.id, *manifest.chunk_hashes)):
        raise _refused("manifest", f"holds a hash that is not {HASH_BYTES} bytes long", "32")
    if merkle.root_from_hashes(manifest.chunk_hashes) != manifest.id:
        raise _refused("manifest.id", "is not the tree hash of manifest.chunk_hashes")


def check_chunk(manifest: ArtifactManifest, index: int, data: bytes) -> None:
    """Check one chunk (from 0) against a manifest that was checked before.

    The hash decides. The id says nothing of the size, and so somebody could have claimed
    another one with the right hashes: a last chunk of any length is right if its hash is
    (see `with_proved_size`). Raises `Refusal` (BAD_CHUNK) when there is no such chunk, or its
    size or hash is wrong.
    """
    check_chunk_index(manifest.size, index)
    wanted = chunk_size(manifest.size, index)
    is_last = index == len(manifest.chunk_hashes) - 1
    if len(data) != wanted and not (is_last and 1 <= len(data) <= CHUNK_BYTES):
        raise _bad_chunk(f"chunk {index} has {len(data)} bytes; it must have {wanted}", str(wanted))
    if merkle.leaf_hash(data) != manifest.chunk_hashes[index]:
        raise _bad_chunk(
            f"chunk {index} of {len(data)} bytes is not what the manifest says: its hash is another"
        )


def with_proved_size(manifest: ArtifactManifest, index: int, data: bytes) -> ArtifactManifest:
    """The manifest with the size that a chunk proves, which passed `check_chunk`."""
    size = index * CHUNK_BYTES + len(data)
    if index < len(manifest.chunk_hashes) - 1 or size == manifest.size:
        return manifest
    return ArtifactManifest(id=manifest.id, size=size, chunk_hashes=manifest.chunk_hashes)


def check_chunk_index(size: int, index: int) -> None:
    """Raises `Refusal` (BAD_CHUNK) when an artifact of `size` bytes has no chunk `index`."""
    count = count_chunks(size)
    if not 0 <= index < count:
        raise _bad_chunk(f"there is no chunk {index}; the artifact has {count}", str(count))


def count_chunks(size: int) -> int:
    """How many chunks `size` bytes make."""
    return -(-size // CHUNK_BYTES)


def chunk_size(size: int, index: int) -> int:
    """How many bytes chunk `index` of an artifact of `size` bytes has."""
    return min(CHUNK_BYTES, size - index * CHUNK_BYTES)


def iterate_chunks(data: bytes | Path) -> Iterator[bytes]:
    """The chunks of some bytes, or of a file's, in order."""
    if isinstance(data, Path):
        with data.open("rb") as file:
            while chunk := file.read(CHUNK_BYTES):
                yield chunk
    else:
        for start in range(0, len(data), CHUNK_BYTES):
            yield data[start : start + CHUNK_BYTES]


def encode_manifest(manifest: ArtifactManifest) -> bytes:
    """The bytes of a manifest as they are kept on disk."""
    return canonical.encode(manifest)


def decode_manifest(raw: bytes) -> ArtifactManifest:
    """Read and check the bytes of a manifest. Raises `Refusal` (BAD_ARTIFACT, TOO_LARGE)."""
    manifest = canonical.decode(ArtifactManifest, raw, code=DataCode.BAD_ARTIFACT)
    check_manifest(manifest)
    return manifest


def check_artifact_size(size: int, max_bytes: int = MAX_ARTIFACT_BYTES) -> None:
    """Raises `Refusal`: BAD_ARTIFACT for nothing at all, TOO_LARGE over `max_bytes`."""
    if size < 1:
        raise _refused("artifact", "is empty; it must have at least one byte", "1")
    wire_limit = min(max_bytes, MAX_ARTIFACT_BYTES)
    if size > wire_limit:
        raise RefusalError(
            DataCode.TOO_LARGE,
            f"the artifact has {size} bytes; at most {wire_limit} are allowed",
            field="manifest.size",
            limit=str(wire_limit),
        )


def _refused(field: str, what: str, limit: str = "") -> RefusalError:
    return RefusalError(DataCode.BAD_ARTIFACT, f"{field} {what}", field=field, limit=limit)


def _bad_chunk(message: str, limit: str = "") -> RefusalError:
    return RefusalError(DataCode.BAD_CHUNK, message, field="chunk", limit=limit)
