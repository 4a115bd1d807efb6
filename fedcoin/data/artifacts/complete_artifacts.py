"""The complete artifacts of a folder: `<id in hex>.data`, beside `<id in hex>.manifest`.

A file that is named by an id holds the whole artifact: `store` writes it under another name and
renames it when all chunks are on disk. Which artifacts are complete is kept in memory, so that
`has` and `size` need no disk.
"""

from __future__ import annotations

import re
import threading
from pathlib import Path
from typing import Final

from fedcoin.data.artifacts.manifest import (
    CHUNK_BYTES,
    build_manifest,
    check_chunk_index,
    decode_manifest,
    encode_manifest,
)
from fedcoin.data.atomic_files import replace_file, sync_folder
from fedcoin.data.errors import DataCode, RefusalError
from fedcoin.v1.artifact_pb2 import ArtifactManifest

_DATA_NAME: Final = re.compile(r"([0-9a-f]{64})\.data", re.ASCII)


class CompleteArtifacts:
    """The complete artifacts of one folder; usable from several threads of one process.

    Ids have 32 bytes. `has`, `size` and `ids` answer from memory; all other methods read the disk.
    """

    def __init__(self, root: Path) -> None:
        """List the complete artifacts of a folder; delete manifests that have no data file.

        Args:
            root: The folder of the artifacts, which must exist.
        """
        self._root = root
        self._lock = threading.RLock()
        """Held while `_sizes` changes."""
        self._sizes = self._find_complete()
        """The size of each complete artifact in bytes, by id."""

    @property
    def folder(self) -> Path:
        """The folder of the store."""
        return self._root

    def has(self, id: bytes) -> bool:
        """Tell whether the store holds a complete artifact.

        Args:
            id: The artifact's id, 32 bytes.

        Returns:
            True when the whole artifact is here; False while it is still arriving.
        """
        return id in self._sizes

    def size(self, id: bytes) -> int | None:
        """Look up the size of a complete artifact.

        Args:
            id: The artifact's id, 32 bytes.

        Returns:
            The size in bytes; None when the artifact is not complete.
        """
        return self._sizes.get(id)

    def ids(self) -> tuple[bytes, ...]:
        """List the ids of all complete artifacts, in rising order."""
        with self._lock:
            return tuple(sorted(self._sizes))

    def path(self, id: bytes) -> Path:
        """Look up the file of a complete artifact.

        Args:
            id: The artifact's id, 32 bytes.

        Returns:
            The path of the file, which must not be written to.

        Raises:
            RefusalError: UNKNOWN_ARTIFACT when the artifact is not complete.
        """
        if id not in self._sizes:
            raise unknown_artifact(id)
        return self._data_path(id)

    def read(self, id: bytes) -> bytes:
        """Read a complete artifact.

        Args:
            id: The artifact's id, 32 bytes.

        Returns:
            The whole content, up to `MAX_ARTIFACT_BYTES` bytes, in memory.

        Raises:
            RefusalError: UNKNOWN_ARTIFACT when the artifact is not complete.
        """
        return self.path(id).read_bytes()

    def manifest(self, id: bytes) -> ArtifactManifest:
        """Read the manifest of a complete artifact.

        Args:
            id: The artifact's id, 32 bytes.

        Returns:
            The manifest: id, size in bytes, and the hash of each chunk.

        Raises:
            RefusalError: UNKNOWN_ARTIFACT when the artifact is not complete.
        """
        path = self.path(id)
        try:
            return decode_manifest(self._manifest_path(id).read_bytes())
        except (FileNotFoundError, RefusalError):
            # It can be computed from the content.
            manifest = build_manifest(path)
            replace_file(self._manifest_path(id), encode_manifest(manifest))
            return manifest

    def read_chunk(self, id: bytes, index: int) -> bytes:
        """Read one chunk of a complete artifact.

        Args:
            id: The artifact's id, 32 bytes.
            index: The index of the chunk, from 0.

        Returns:
            The chunk's bytes.

        Raises:
            RefusalError: UNKNOWN_ARTIFACT when the artifact is not complete, BAD_CHUNK when there
                is no such chunk.
        """
        path, size = self.path(id), self._sizes[id]
        check_chunk_index(size, index)
        with path.open("rb") as file:
            file.seek(index * CHUNK_BYTES)
            return file.read(CHUNK_BYTES)

    def _remove_complete(self, id: bytes) -> bool:
        """Delete a complete artifact; return whether there was one. The lock must be held."""
        if self._sizes.pop(id, None) is None:
            return False
        self._data_path(id).unlink(missing_ok=True)
        self._manifest_path(id).unlink(missing_ok=True)
        sync_folder(self._root)
        return True

    def _data_path(self, id: bytes) -> Path:
        return self._root / f"{id.hex()}.data"

    def _manifest_path(self, id: bytes) -> Path:
        return self._root / f"{id.hex()}.manifest"

    def _find_complete(self) -> dict[bytes, int]:
        sizes: dict[bytes, int] = {}
        for path in self._root.iterdir():
            match = _DATA_NAME.fullmatch(path.name)
            if match is not None and path.is_file():
                sizes[bytes.fromhex(match.group(1))] = path.stat().st_size
        for path in self._root.glob("*.manifest"):
            if not path.with_suffix(".data").exists():
                path.unlink()
        return sizes


def unknown_artifact(id: bytes) -> RefusalError:
    """Make the refusal for an artifact that the store does not hold.

    Args:
        id: The id that was asked for; of any length, as it may come from another machine.

    Returns:
        A refusal with code UNKNOWN_ARTIFACT, which the caller raises.
    """
    return RefusalError(
        DataCode.UNKNOWN_ARTIFACT, f"the store holds no artifact {id.hex()[:64]}", field="id"
    )
