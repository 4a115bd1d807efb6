"""An artifact that arrives chunk by chunk and is not complete yet."""

from __future__ import annotations

import re
import threading
from collections.abc import Container
from pathlib import Path

from fedcoin.data.artifacts.manifest import (
    CHUNK_BYTES,
    check_chunk,
    decode_manifest,
    encode_manifest,
    with_proved_size,
)
from fedcoin.data.atomic_files import sync_file, sync_folder
from fedcoin.data.errors import DataCode, RefusalError
from fedcoin.data.failpoints import Failpoint, reach
from fedcoin.v1.artifact_pb2 import ArtifactManifest

_MANIFEST = re.compile(r"([0-9a-f]{64})\.manifest", re.ASCII)


class Upload:
    """The first chunks of an artifact, each of them checked, in a file.

    Not safe to use from several threads at once: the store locks it. Only `finish` waits for the
    disk, so a crash may lose the latest chunks; `resume` counts those that are intact.
    """

    def __init__(self, folder: Path, manifest: ArtifactManifest, next_chunk: int) -> None:
        """Describe an upload; `begin` and `resume` also prepare its files.

        Args:
            folder: The folder of the incomplete files.
            manifest: A manifest that was checked.
            next_chunk: The index of the next chunk wanted, from 0.
        """
        self.manifest = manifest
        self.next_chunk = next_chunk
        self.ended = threading.Event()
        """Set when `finish` has returned or failed."""
        self.last_use = 0
        """The number of its latest use among the uses of all uploads; see `UploadSet`."""
        self._folder = folder

    @classmethod
    def begin(cls, folder: Path, manifest: ArtifactManifest) -> Upload:
        """Start an upload without any chunk, and write its manifest and an empty data file.

        Args:
            folder: The folder of the incomplete files.
            manifest: A manifest that was checked.

        Returns:
            The upload, which waits for chunk 0.

        Raises:
            OSError: The files cannot be written, for example because the disk is full.
        """
        upload = cls(folder, manifest, 0)
        upload._manifest_path.write_bytes(encode_manifest(manifest))
        upload._data_path.write_bytes(b"")
        return upload

    @classmethod
    def resume(cls, folder: Path, manifest: ArtifactManifest) -> Upload:
        """Continue an upload from its files: keep the chunks that are intact, cut off the rest.

        Args:
            folder: The folder of the incomplete files.
            manifest: A manifest that was checked.

        Returns:
            The upload; without any chunk when there is no data file.

        Raises:
            OSError: The data file cannot be read or changed.
        """
        upload = cls(folder, manifest, 0)
        with upload._data_path.open("a+b") as file:
            file.seek(0)
            while upload.next_chunk < len(manifest.chunk_hashes):
                data = file.read(CHUNK_BYTES)
                try:
                    check_chunk(manifest, upload.next_chunk, data)
                except RefusalError:
                    break
                upload._count(data)
            file.truncate(upload.num_bytes)
        return upload

    @property
    def num_bytes(self) -> int:
        """The number of bytes that have arrived."""
        return min(self.next_chunk * CHUNK_BYTES, self.manifest.size)

    @property
    def is_complete(self) -> bool:
        """Whether all chunks have arrived."""
        return self.next_chunk == len(self.manifest.chunk_hashes)

    def add(self, index: int, data: bytes) -> None:
        """Write the next chunk. A chunk that arrived before changes nothing.

        Args:
            index: The index of the chunk, from 0.
            data: The chunk's bytes, which passed `check_chunk`.

        Raises:
            RefusalError: BAD_CHUNK when a chunk before it is missing.
        """
        if index < self.next_chunk:
            return
        if index > self.next_chunk:
            raise RefusalError(
                DataCode.BAD_CHUNK,
                f"chunk {index} arrived before chunk {self.next_chunk}: send chunks in order",
                field="chunk.index",
                limit=str(self.next_chunk),
            )
        with self._data_path.open("r+b") as file:
            # Overwrites what an earlier attempt left that failed, for example on a full disk.
            file.seek(self.num_bytes)
            file.write(data)
        reach(Failpoint.CHUNK_WRITTEN, self._data_path.name)
        self._count(data)

    def finish(self, data: Path, manifest: Path) -> None:
        """Give a complete artifact its final names; it is on disk when this returns.

        Args:
            data: The final path of the content.
            manifest: The final path of the manifest.
        """
        self._manifest_path.write_bytes(encode_manifest(self.manifest))
        reach(Failpoint.FILE_WRITTEN, data.name)
        sync_file(self._data_path)
        reach(Failpoint.FILE_SYNCED, data.name)
        # The content first: the manifest can be computed from it.
        self._data_path.replace(data)
        reach(Failpoint.FILE_RENAMED, data.name)
        self._manifest_path.replace(manifest)
        sync_folder(data.parent)
        reach(Failpoint.FILE_DONE, data.name)

    def drop(self) -> None:
        """Delete the files."""
        self._data_path.unlink(missing_ok=True)
        self._manifest_path.unlink(missing_ok=True)

    def _count(self, data: bytes) -> None:
        self.manifest = with_proved_size(self.manifest, self.next_chunk, data)
        self.next_chunk += 1

    @property
    def _data_path(self) -> Path:
        return self._folder / f"{self.manifest.id.hex()}.data"

    @property
    def _manifest_path(self) -> Path:
        return self._folder / f"{self.manifest.id.hex()}.manifest"


def resume_uploads(folder: Path, complete: Container[bytes]) -> dict[bytes, Upload]:
    """Resume the uploads that an earlier process left; delete all other files.

    Args:
        folder: The folder of the incomplete files.
        complete: The ids of artifacts that are complete, whose uploads are deleted.

    Returns:
        Uploads by artifact id, the least recently used first.
    """
    uploads: dict[bytes, Upload] = {}
    for path in sorted(folder.iterdir(), key=lambda path: path.stat().st_mtime):
        match = _MANIFEST.fullmatch(path.name)
        if match is None:
            continue
        try:
            manifest = decode_manifest(path.read_bytes())
        except RefusalError:
            continue
        if manifest.id.hex() == match.group(1) and manifest.id not in complete:
            uploads[manifest.id] = Upload.resume(folder, manifest)
    wanted = {id.hex() for id in uploads}
    for path in folder.iterdir():
        if path.stem not in wanted or path.suffix not in (".data", ".manifest"):
            path.unlink()
    return uploads
