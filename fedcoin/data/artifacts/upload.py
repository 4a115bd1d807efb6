"""One artifact on its way to disk."""

from __future__ import annotations

import re
import threading
from collections.abc import Container
from pathlib import Path

from fedcoin.data.artifacts import manifest as artifacts
from fedcoin.data.artifacts.manifest import CHUNK_BYTES
from fedcoin.data.atomic_files import sync_file, sync_folder
from fedcoin.data.errors import DataCode, RefusalError
from fedcoin.v1.artifact_service_pb2 import ArtifactManifest

_MANIFEST = re.compile(r"([0-9a-f]{64})\.manifest", re.ASCII)


class Upload:
    """The first chunks of an artifact, each of them checked.

    Its owner lets one thread at a time in. A crash may lose the latest chunks, as only
    `finish` waits for the disk; `resume` counts those that are right.
    """

    def __init__(self, folder: Path, manifest: ArtifactManifest, next_chunk: int) -> None:
        self.manifest = manifest
        self.next_chunk = next_chunk
        self.ended = threading.Event()
        """Set once `finish` was tried."""
        self._folder = folder

    @classmethod
    def begin(cls, folder: Path, manifest: ArtifactManifest) -> Upload:
        """Start anew; `manifest` was checked before."""
        upload = cls(folder, manifest, 0)
        upload._manifest_path.write_bytes(artifacts.encode_manifest(manifest))
        upload._data_path.write_bytes(b"")
        return upload

    @classmethod
    def resume(cls, folder: Path, manifest: ArtifactManifest) -> Upload:
        """Take up what is on disk as far as it is right, and cut off the rest."""
        upload = cls(folder, manifest, 0)
        with upload._data_path.open("a+b") as file:
            file.seek(0)
            while upload.next_chunk < len(manifest.chunk_hashes):
                data = file.read(CHUNK_BYTES)
                try:
                    artifacts.check_chunk(manifest, upload.next_chunk, data)
                except RefusalError:
                    break
                upload._count(data)
            file.truncate(upload.written)
        return upload

    @property
    def written(self) -> int:
        """How many bytes are there."""
        return min(self.next_chunk * CHUNK_BYTES, self.manifest.size)

    @property
    def whole(self) -> bool:
        """Are all chunks there?"""
        return self.next_chunk == len(self.manifest.chunk_hashes)

    def add(self, index: int, data: bytes) -> None:
        """Write the next chunk, which was checked before; one that is there is left alone.

        Raises `Refusal` (BAD_CHUNK) when one before it is missing.
        """
        if index < self.next_chunk:
            return
        if index > self.next_chunk:
            raise RefusalError(
                DataCode.BAD_CHUNK,
                f"chunk {index} came where chunk {self.next_chunk} is wanted: send them in order",
                field="chunk.index",
                limit=str(self.next_chunk),
            )
        with self._data_path.open("r+b") as file:
            # A write that failed half-way, on a full disk say, is written over.
            file.seek(self.written)
            file.write(data)
        self._count(data)

    def finish(self, data: Path, manifest: Path) -> None:
        """Make the whole artifact durable under its final names."""
        self._manifest_path.write_bytes(artifacts.encode_manifest(self.manifest))
        sync_file(self._data_path)
        # In this order: a manifest can be made again from the data.
        self._data_path.replace(data)
        self._manifest_path.replace(manifest)
        sync_folder(data.parent)

    def drop(self) -> None:
        """Forget everything."""
        self._data_path.unlink(missing_ok=True)
        self._manifest_path.unlink(missing_ok=True)

    def _count(self, data: bytes) -> None:
        self.manifest = artifacts.with_proved_size(self.manifest, self.next_chunk, data)
        self.next_chunk += 1

    @property
    def _data_path(self) -> Path:
        return self._folder / f"{self.manifest.id.hex()}.data"

    @property
    def _manifest_path(self) -> Path:
        return self._folder / f"{self.manifest.id.hex()}.manifest"


def find_uploads(folder: Path, whole: Container[bytes]) -> dict[bytes, Upload]:
    """The uploads that an earlier process left, the idlest first; what is of no use is deleted."""
    found: dict[bytes, Upload] = {}
    for path in sorted(folder.iterdir(), key=lambda path: path.stat().st_mtime):
        match = _MANIFEST.fullmatch(path.name)
        if match is None:
            continue
        try:
            manifest = artifacts.decode_manifest(path.read_bytes())
        except RefusalError:
            continue
        if manifest.id.hex() == match.group(1) and manifest.id not in whole:
            found[manifest.id] = Upload.resume(folder, manifest)
    wanted = {id.hex() for id in found}
    for path in folder.iterdir():
        if path.stem not in wanted or path.suffix not in (".data", ".manifest"):
            path.unlink()
    return found
