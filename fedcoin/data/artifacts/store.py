"""Artifacts on disk, in one folder: whole ones under their id, others under `partial/`.

An artifact arrives chunk by chunk, in order; each chunk is checked before it is written, so
that what lies in `partial/` is right as far as it goes and an upload that broke off goes on
where it was, after a restart too. Whole, it is made durable and moved into place: what has an
id's name is that artifact.

    <id in hex>.data, <id in hex>.manifest
    partial/<id in hex>.data, partial/<id in hex>.manifest

All bytes together are bounded. Uploads that nobody goes on with make room for others, the one
that was idle longest first; whole artifacts never do.
"""

from __future__ import annotations

import re
import threading
from pathlib import Path
from typing import Final

from fedcoin.data.artifacts import manifest as artifacts
from fedcoin.data.artifacts.manifest import CHUNK_BYTES, MAX_ARTIFACT_BYTES, build_manifest
from fedcoin.data.artifacts.upload import Upload, find_uploads
from fedcoin.data.atomic_files import replace_file, sync_folder
from fedcoin.data.errors import DataCode, RefusalError
from fedcoin.v1.artifact_service_pb2 import ArtifactManifest

MAX_UPLOADS: Final = 64
"""How many artifacts may be under way at once."""

_WHOLE = re.compile(r"([0-9a-f]{64})\.data", re.ASCII)


class ArtifactStore:
    """A folder of artifacts; usable from several threads, by one process.

    Everything but `has`, `size` and `ids` may wait for the disk.
    """

    def __init__(
        self,
        root: Path,
        max_bytes_total: int,
        max_artifact_bytes: int = MAX_ARTIFACT_BYTES,
    ) -> None:
        self._root = root
        self._partial = root / "partial"
        self._max_total = max_bytes_total
        self._max_artifact = min(max_artifact_bytes, max_bytes_total, MAX_ARTIFACT_BYTES)
        self._lock = threading.RLock()
        self._partial.mkdir(parents=True, exist_ok=True)
        self._sizes: dict[bytes, int] = self._find_whole()
        self._finishing: dict[bytes, Upload] = {}
        # In the order of their last use, the idlest first.
        self._uploads: dict[bytes, Upload] = find_uploads(self._partial, self._sizes)
        for upload in [upload for upload in self._uploads.values() if upload.whole]:
            self._finishing[upload.manifest.id] = self._uploads.pop(upload.manifest.id)
            self._finish(upload)

    # Whole artifacts ----------------------------------------------------------------------

    def has(self, id: bytes) -> bool:
        """Is the whole artifact here?"""
        return id in self._sizes

    def size(self, id: bytes) -> int | None:
        """The size of a whole artifact, in bytes."""
        return self._sizes.get(id)

    def ids(self) -> tuple[bytes, ...]:
        """The ids of all whole artifacts, in rising order."""
        with self._lock:
            return tuple(sorted(self._sizes))

    def used_bytes(self) -> int:
        """The bytes of all artifacts here, whole or not, without their manifests."""
        with self._lock:
            arriving = (*self._uploads.values(), *self._finishing.values())
            return sum(self._sizes.values()) + sum(upload.written for upload in arriving)

    def path(self, id: bytes) -> Path:
        """The file of a whole artifact, not to be written to.

        Raises `Refusal` (UNKNOWN_ARTIFACT).
        """
        if id not in self._sizes:
            raise _unknown(id)
        return self._data(id)

    def read(self, id: bytes) -> bytes:
        """A whole artifact's bytes. Raises `Refusal` (UNKNOWN_ARTIFACT)."""
        return self.path(id).read_bytes()

    def manifest(self, id: bytes) -> ArtifactManifest:
        """A whole artifact's manifest. Raises `Refusal` (UNKNOWN_ARTIFACT)."""
        path = self.path(id)
        try:
            return artifacts.decode_manifest(self._manifest(id).read_bytes())
        except (FileNotFoundError, RefusalError):
            # It follows from the data.
            manifest = artifacts.build_manifest(path)
            replace_file(self._manifest(id), artifacts.encode_manifest(manifest))
            return manifest

    def read_chunk(self, id: bytes, index: int) -> bytes:
        """One chunk of a whole artifact, from 0. Raises `Refusal` (UNKNOWN_ARTIFACT, BAD_CHUNK)."""
        path, size = self.path(id), self._sizes[id]
        artifacts.check_chunk_index(size, index)
        with path.open("rb") as file:
            file.seek(index * CHUNK_BYTES)
            return file.read(CHUNK_BYTES)

    def put(self, data: bytes | Path) -> bytes:
        """Store some bytes, or a copy of a file, and return the id.

        Raises `Refusal` (BAD_ARTIFACT, TOO_LARGE, STORE_FULL; BAD_CHUNK when the file changed
        meanwhile).
        """
        manifest = build_manifest(data)
        self.begin(manifest)
        for index, chunk in enumerate(artifacts.iterate_chunks(data)):
            if self.has(manifest.id):
                break
            self.add_chunk(manifest.id, index, chunk)
        return manifest.id

    def remove(self, id: bytes) -> bool:
        """Delete an artifact, whole or not; returns whether there was anything."""
        with self._lock:
            whole, upload = self._sizes.pop(id, None), self._uploads.pop(id, None)
            if upload is not None:
                upload.drop()
            if whole is not None:
                self._data(id).unlink(missing_ok=True)
                self._manifest(id).unlink(missing_ok=True)
                sync_folder(self._root)
        return whole is not None or upload is not None

    def check(self, id: bytes) -> bool:
        """Read a whole artifact and compare its hash; one that rotted is removed.

        Raises `Refusal` (UNKNOWN_ARTIFACT).
        """
        if build_manifest(self.path(id)).id == id:
            return True
        self.remove(id)
        return False

    # Arriving artifacts -------------------------------------------------------------------

    def begin(self, manifest: ArtifactManifest) -> int:
        """Expect an artifact, or go on with one; returns the next chunk wanted, from 0.

        That is the number of chunks when it is whole. Raises `Refusal`: BAD_ARTIFACT when the
        manifest is wrong, TOO_LARGE, STORE_FULL.
        """
        artifacts.check_manifest(manifest, self._max_artifact)
        with self._lock:
            if self.has(manifest.id):
                return len(manifest.chunk_hashes)
            upload = self._uploads.get(manifest.id) or self._finishing.get(manifest.id)
            if upload is None:
                self._check_room(manifest.size)
                while len(self._uploads) >= MAX_UPLOADS:
                    self._drop_idlest()
                upload = Upload.begin(self._partial, manifest)
                self._uploads[manifest.id] = upload
            if manifest.id in self._uploads:
                self._touch(upload)
        return upload.next_chunk

    def next_chunk(self, id: bytes) -> int:
        """The next chunk wanted of an artifact, from 0; their number when it is whole.

        0 for one of which nothing is known.
        """
        size = self._sizes.get(id)
        if size is not None:
            return artifacts.count_chunks(size)
        with self._lock:
            upload = self._uploads.get(id) or self._finishing.get(id)
        return 0 if upload is None else upload.next_chunk

    def add_chunk(self, id: bytes, index: int, data: bytes) -> int:
        """Add the next chunk of an artifact that was begun; returns the next one wanted.

        A chunk that is there already changes nothing. The last one completes the artifact,
        which is durable when this returns. Raises `Refusal`: UNKNOWN_ARTIFACT when it was not
        begun (or had to make room), BAD_CHUNK when size, hash or order is wrong, STORE_FULL;
        what was right is kept.
        """
        if self.has(id):
            return self.next_chunk(id)
        upload = self._under_way(id)
        # Hashing needs no lock, and comes before anything changes.
        artifacts.check_chunk(upload.manifest, index, data)
        with self._lock:
            if self._uploads.get(id) is upload:
                self._touch(upload)
                if index == upload.next_chunk:
                    self._make_room(len(data))
                upload.add(index, data)
                if not upload.whole:
                    return upload.next_chunk
                upload.ended.clear()
                # From here on nobody can drop it, or add to it.
                self._finishing[id] = self._uploads.pop(id)
                finish = True
            else:
                finish = False
        if finish:
            self._finish(upload)
        return self._wait_for(id, upload)

    def _under_way(self, id: bytes) -> Upload:
        with self._lock:
            upload = self._uploads.get(id) or self._finishing.get(id)
        if upload is None:
            raise _unknown(id)
        return upload

    def _finish(self, upload: Upload) -> None:
        # Waiting for the disk, with no lock held.
        id = upload.manifest.id
        try:
            upload.finish(self._data(id), self._manifest(id))
        except BaseException:
            with self._lock:
                self._uploads[id] = self._finishing.pop(id)
            raise
        else:
            with self._lock:
                self._sizes[id] = upload.manifest.size
                del self._finishing[id]
        finally:
            upload.ended.set()

    def _wait_for(self, id: bytes, upload: Upload) -> int:
        # Another thread may be about to complete it, or it may have been dropped.
        with self._lock:
            busy = self._finishing.get(id) is upload
        if busy:
            upload.ended.wait()
        if not self.has(id):
            raise _unknown(id)
        return upload.next_chunk

    # Room ---------------------------------------------------------------------------------

    def _check_room(self, size: int) -> None:
        whole = sum(self._sizes.values())
        if whole + size > self._max_total:
            raise self._full(whole, size)

    def _make_room(self, size: int) -> None:
        # The last upload is the one that asks.
        while self.used_bytes() + size > self._max_total:
            if len(self._uploads) == 1:
                raise self._full(self.used_bytes(), size)
            self._drop_idlest()

    def _drop_idlest(self) -> None:
        id = next(iter(self._uploads))
        self._uploads.pop(id).drop()

    def _touch(self, upload: Upload) -> None:
        self._uploads[upload.manifest.id] = self._uploads.pop(upload.manifest.id)

    def _full(self, used: int, size: int) -> RefusalError:
        return RefusalError(
            DataCode.STORE_FULL,
            f"there is no room for {size} bytes: artifacts take {used} of at most "
            f"{self._max_total} bytes",
            field="artifact",
            limit=str(self._max_total),
        )

    # Files --------------------------------------------------------------------------------

    def _data(self, id: bytes) -> Path:
        return self._root / f"{id.hex()}.data"

    def _manifest(self, id: bytes) -> Path:
        return self._root / f"{id.hex()}.manifest"

    def _find_whole(self) -> dict[bytes, int]:
        found: dict[bytes, int] = {}
        for path in self._root.iterdir():
            match = _WHOLE.fullmatch(path.name)
            if match is not None and path.is_file():
                found[bytes.fromhex(match.group(1))] = path.stat().st_size
        for path in self._root.glob("*.manifest"):
            if not path.with_suffix(".data").exists():
                path.unlink()
        return found


def _unknown(id: bytes) -> RefusalError:
    return RefusalError(
        DataCode.UNKNOWN_ARTIFACT, f"there is no artifact {id.hex()[:64]} here", field="id"
    )
