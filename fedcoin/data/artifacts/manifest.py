"""Manifests: an artifact's id, size and chunk hashes.

An artifact is cut into chunks of 262,144 bytes, the last one shorter. Its id is the RFC 6962 tree
hash over the chunks; its manifest lists their leaf hashes, from which the id follows. With the
manifest, a wrong chunk is detected as soon as it arrives.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final

from fedcoin.data.crypto import merkle
from fedcoin.data.crypto.hashing import HASH_BYTES
from fedcoin.data.errors import DataCode, RefusalError
from fedcoin.data.messages import canonical
from fedcoin.v1.artifact_pb2 import ArtifactManifest

CHUNK_BYTES: Final = 262_144
"""The size of every chunk except the last, in bytes."""

MAX_ARTIFACT_BYTES: Final = 2_147_483_648
"""The size of the largest artifact, in bytes."""


def build_manifest(data: bytes | Path) -> ArtifactManifest:
    """Build the manifest of an artifact.

    Args:
        data: The artifact's bytes, or the file that holds them.

    Returns:
        The manifest: id, size in bytes, and the leaf hash of each chunk.

    Raises:
        RefusalError: BAD_ARTIFACT when the artifact is empty, TOO_LARGE when it has more than
            `MAX_ARTIFACT_BYTES` bytes.
    """
    size, hashes = 0, []
    for chunk in iterate_chunks(data):
        size += len(chunk)
        _check_artifact_size(size)
        hashes.append(merkle.leaf_hash(chunk))
    _check_artifact_size(size)
    return ArtifactManifest(id=merkle.root_from_hashes(hashes), size=size, chunk_hashes=hashes)


def compute_artifact_id(data: bytes | Path) -> bytes:
    """Compute the id of an artifact.

    Args:
        data: The artifact's bytes, or the file that holds them.

    Returns:
        The id, 32 bytes.

    Raises:
        RefusalError: BAD_ARTIFACT when the artifact is empty; TOO_LARGE when it has more than
            `MAX_ARTIFACT_BYTES` bytes.
    """
    return build_manifest(data).id


def check_manifest(manifest: ArtifactManifest, max_bytes: int = MAX_ARTIFACT_BYTES) -> None:
    """Check that size, chunk hashes and id of a manifest agree.

    Args:
        manifest: A manifest from another machine or from disk.
        max_bytes: The largest size allowed, in bytes.

    Raises:
        RefusalError: BAD_ARTIFACT when the size is not above 0, the number of hashes does not fit
            the size, or the hashes do not lead to the id; TOO_LARGE when the artifact is larger
            than `max_bytes`.
    """
    _check_artifact_size(manifest.size, max_bytes)
    count = count_chunks(manifest.size)
    if len(manifest.chunk_hashes) != count:
        raise _refused(
            "manifest.chunk_hashes",
            f"are {len(manifest.chunk_hashes)}; {manifest.size} bytes make {count} chunks",
            str(count),
        )
    if any(len(value) != HASH_BYTES for value in (manifest.id, *manifest.chunk_hashes)):
        raise _refused(
            "manifest", f"holds a hash that does not have {HASH_BYTES} bytes", str(HASH_BYTES)
        )
    if merkle.root_from_hashes(manifest.chunk_hashes) != manifest.id:
        raise _refused("manifest.id", "is not the tree hash of manifest.chunk_hashes")


def check_chunk(manifest: ArtifactManifest, index: int, data: bytes) -> None:
    """Check a chunk against its manifest.

    The artifact's id proves the chunks' hashes, but not the size that the manifest states. A last
    chunk of another length is therefore accepted when its hash is right; `with_proved_size` then
    corrects the manifest.

    Args:
        manifest: A manifest that passed `check_manifest`.
        index: The index of the chunk, from 0.
        data: The chunk's bytes.

    Raises:
        RefusalError: BAD_CHUNK when there is no such chunk, or its size or hash is wrong.
    """
    check_chunk_index(manifest.size, index)
    size = chunk_size(manifest.size, index)
    is_last = index == len(manifest.chunk_hashes) - 1
    if len(data) != size and not (is_last and 1 <= len(data) <= CHUNK_BYTES):
        raise _bad_chunk(f"chunk {index} has {len(data)} bytes; it must have {size}", str(size))
    if merkle.leaf_hash(data) != manifest.chunk_hashes[index]:
        raise _bad_chunk(
            f"chunk {index} of {len(data)} bytes does not have the hash in the manifest"
        )


def with_proved_size(manifest: ArtifactManifest, index: int, data: bytes) -> ArtifactManifest:
    """Correct the size that a manifest states, once the last chunk has shown its length.

    Args:
        manifest: A manifest that passed `check_manifest`.
        index: The index of a chunk, from 0.
        data: The chunk's bytes, which passed `check_chunk`.

    Returns:
        A manifest with the right size for the last chunk; the same manifest for any other.
    """
    size = index * CHUNK_BYTES + len(data)
    if index < len(manifest.chunk_hashes) - 1 or size == manifest.size:
        return manifest
    return ArtifactManifest(id=manifest.id, size=size, chunk_hashes=manifest.chunk_hashes)


def check_chunk_index(size: int, index: int) -> None:
    """Check that an artifact has a chunk with a certain index.

    Args:
        size: The artifact's size in bytes.
        index: The index of the chunk, from 0.

    Raises:
        RefusalError: BAD_CHUNK when the index is below 0, or not below the number of chunks.
    """
    count = count_chunks(size)
    if not 0 <= index < count:
        raise _bad_chunk(f"there is no chunk {index}; the artifact has {count} chunks", str(count))


def count_chunks(size: int) -> int:
    """Count the chunks of an artifact.

    Args:
        size: The artifact's size in bytes.

    Returns:
        The number of chunks: the size over `CHUNK_BYTES`, rounded up.
    """
    return -(-size // CHUNK_BYTES)


def chunk_size(size: int, index: int) -> int:
    """Compute the size of a chunk.

    Args:
        size: The artifact's size in bytes.
        index: The index of the chunk, from 0.

    Returns:
        `CHUNK_BYTES`, or less for the last chunk.
    """
    return min(CHUNK_BYTES, size - index * CHUNK_BYTES)


def iterate_chunks(data: bytes | Path) -> Iterator[bytes]:
    """Cut an artifact into chunks.

    Args:
        data: The artifact's bytes, or the file that holds them.

    Yields:
        The chunks, in order, each of `CHUNK_BYTES` bytes but the last one.
    """
    if isinstance(data, Path):
        with data.open("rb") as file:
            while chunk := file.read(CHUNK_BYTES):
                yield chunk
    else:
        for start in range(0, len(data), CHUNK_BYTES):
            yield data[start : start + CHUNK_BYTES]


def encode_manifest(manifest: ArtifactManifest) -> bytes:
    """Serialise a manifest, as it is written to disk.

    Args:
        manifest: A manifest that passed `check_manifest`.

    Returns:
        The canonical protobuf encoding of the ArtifactManifest.
    """
    return canonical.encode(manifest)


def decode_manifest(raw: bytes) -> ArtifactManifest:
    """Decode and check a manifest.

    Args:
        raw: The serialised ArtifactManifest.

    Returns:
        The manifest, whose id, size and hashes agree.

    Raises:
        RefusalError: BAD_ARTIFACT when it is not a manifest or its parts do not agree, TOO_LARGE
            when it names a size over `MAX_ARTIFACT_BYTES`.
    """
    manifest = canonical.decode(ArtifactManifest, raw, code=DataCode.BAD_ARTIFACT)
    check_manifest(manifest)
    return manifest


def _check_artifact_size(size: int, max_bytes: int = MAX_ARTIFACT_BYTES) -> None:
    """Check the size of an artifact.

    Args:
        size: The artifact's size in bytes.
        max_bytes: The largest size allowed, in bytes; never more than `MAX_ARTIFACT_BYTES`.

    Raises:
        RefusalError: BAD_ARTIFACT when it is empty, TOO_LARGE when it is too large.
    """
    if size < 1:
        raise _refused("artifact", "is empty; it must have at least one byte", "1")
    limit = min(max_bytes, MAX_ARTIFACT_BYTES)
    if size > limit:
        raise RefusalError(
            DataCode.TOO_LARGE,
            f"the artifact has {size} bytes; at most {limit} are allowed",
            field="manifest.size",
            limit=str(limit),
        )


def _refused(field: str, fault: str, limit: str = "") -> RefusalError:
    return RefusalError(DataCode.BAD_ARTIFACT, f"{field} {fault}", field=field, limit=limit)


def _bad_chunk(message: str, limit: str = "") -> RefusalError:
    return RefusalError(DataCode.BAD_CHUNK, message, field="chunk", limit=limit)
