"""A node's artifacts in one folder: complete ones under their id, uploads under `partial/`.

`complete_artifacts` reads the former; this module receives the latter, and bounds the size of all.
An artifact arrives chunk by chunk, in order. Each chunk is checked before it is written, so an
upload that broke off continues where it stopped, also after a restart. A complete artifact is
flushed to disk and renamed: a file that is named by an id holds that artifact.

    <id in hex>.data, <id in hex>.manifest
    partial/<id in hex>.data, partial/<id in hex>.manifest

The size of all artifacts together is bounded. When space runs out, incomplete uploads are
deleted, the least recently used first; complete artifacts never are.
"""

from __future__ import annotations

from pathlib import Path

from fedcoin.data.artifacts.complete_artifacts import CompleteArtifacts, unknown_artifact
from fedcoin.data.artifacts.manifest import (
    MAX_ARTIFACT_BYTES,
    build_manifest,
    check_chunk,
    check_manifest,
    count_chunks,
    iterate_chunks,
)
from fedcoin.data.artifacts.upload import Upload
from fedcoin.data.artifacts.upload_set import UploadSet
from fedcoin.data.errors import DataCode, RefusalError
from fedcoin.v1.artifact_pb2 import ArtifactManifest


class ArtifactStore(CompleteArtifacts):
    """A folder of artifacts that grows by uploads; usable from several threads of one process.

    All methods except `has`, `size` and `ids` may wait for the disk. Ids have 32 bytes.
    """

    def __init__(
        self,
        root: Path,
        max_bytes_total: int,
        max_artifact_bytes: int = MAX_ARTIFACT_BYTES,
    ) -> None:
        """Open or create a folder of artifacts, and complete or resume the uploads in it.

        Args:
            root: The folder, which is created when it is missing.
            max_bytes_total: The largest size of all artifacts together, in bytes.
            max_artifact_bytes: The largest size of one artifact, in bytes.
        """
        partial = root / "partial"
        partial.mkdir(parents=True, exist_ok=True)
        super().__init__(root)
        self._max_total = max_bytes_total
        self._max_artifact = min(max_artifact_bytes, max_bytes_total, MAX_ARTIFACT_BYTES)
        self._uploads = UploadSet(partial, self._sizes)
        for upload in self._uploads.complete_uploads():
            self._uploads.start_finishing(upload)
            self._finish(upload)

    # Whole artifacts ----------------------------------------------------------------------

    @property
    def max_bytes_total(self) -> int:
        """The largest size of all artifacts together, in bytes."""
        return self._max_total

    def used_bytes(self) -> int:
        """Add up the sizes of all artifacts, complete or not, in bytes, without manifests."""
        with self._lock:
            return sum(self._sizes.values()) + self._uploads.num_bytes

    def put(self, data: bytes | Path) -> bytes:
        """Store an artifact.

        Args:
            data: The artifact's bytes, or a file to copy.

        Returns:
            The artifact's id, 32 bytes.

        Raises:
            RefusalError: BAD_ARTIFACT when the artifact is empty, TOO_LARGE when it is above the
                limit on one artifact, STORE_FULL when there is no room for it, or BAD_CHUNK when
                the file changes meanwhile.
        """
        manifest = build_manifest(data)
        self.begin(manifest)
        for index, chunk in enumerate(iterate_chunks(data)):
            if self.has(manifest.id):
                break
            self.add_chunk(manifest.id, index, chunk)
        return manifest.id

    def remove(self, id: bytes) -> bool:
        """Delete an artifact, complete or not.

        Args:
            id: The artifact's id, 32 bytes.

        Returns:
            True when the store held the artifact or a part of it.
        """
        with self._lock:
            had_upload = self._uploads.drop(id)
            return self._remove_complete(id) or had_upload

    def check(self, id: bytes) -> bool:
        """Verify the content of a complete artifact by its id; delete it when it is damaged.

        Args:
            id: The artifact's id, 32 bytes.

        Returns:
            True when the content is intact.

        Raises:
            RefusalError: UNKNOWN_ARTIFACT when the artifact is not complete.
        """
        if build_manifest(self.path(id)).id == id:
            return True
        self.remove(id)
        return False

    # Uploads ------------------------------------------------------------------------------

    def begin(self, manifest: ArtifactManifest) -> int:
        """Start an upload, or continue one.

        Args:
            manifest: The manifest of the artifact that is to arrive; need not be checked.

        Returns:
            The index of the next chunk wanted, from 0; the number of chunks when the artifact is
            complete.

        Raises:
            RefusalError: BAD_ARTIFACT when id, size and hashes of the manifest do not agree,
                TOO_LARGE when the artifact is above the limit on one artifact, or STORE_FULL when
                there is no room for it.
        """
        check_manifest(manifest, self._max_artifact)
        with self._lock:
            if self.has(manifest.id):
                return len(manifest.chunk_hashes)
            upload = self._uploads.find(manifest.id)
            if upload is None:
                self._check_room(manifest.size)
                upload = self._uploads.begin(manifest)
            if self._uploads.is_receiving(upload):
                self._uploads.mark_used(upload)
        return upload.next_chunk

    def next_chunk(self, id: bytes) -> int:
        """Look up how far an upload has come.

        Args:
            id: The artifact's id, 32 bytes.

        Returns:
            The index of the next chunk wanted, from 0; the number of chunks when the artifact is
            complete; 0 for an unknown artifact.
        """
        size = self._sizes.get(id)
        if size is not None:
            return count_chunks(size)
        with self._lock:
            upload = self._uploads.find(id)
        return 0 if upload is None else upload.next_chunk

    def add_chunk(self, id: bytes, index: int, data: bytes) -> int:
        """Add the next chunk of an upload.

        A chunk that arrived before changes nothing. The last chunk completes the artifact, which
        is on disk when this returns.

        Args:
            id: The artifact's id, 32 bytes.
            index: The index of the chunk, from 0.
            data: The chunk's bytes.

        Returns:
            The index of the next chunk wanted; the number of chunks when it was the last one.

        Raises:
            RefusalError: UNKNOWN_ARTIFACT when the upload was not started or was deleted to make
                room; BAD_CHUNK when size, hash or order of the chunk is wrong; STORE_FULL when the
                store has no room for it. The chunks before it are kept.
        """
        if self.has(id):
            return self.next_chunk(id)
        upload = self._find_upload(id)
        # Hash the chunk without holding the lock.
        check_chunk(upload.manifest, index, data)
        with self._lock:
            if self._uploads.is_receiving(upload):
                self._uploads.mark_used(upload)
                if index == upload.next_chunk:
                    self._make_room(len(data))
                upload.add(index, data)
                if not upload.is_complete:
                    return upload.next_chunk
                self._uploads.start_finishing(upload)
                finish = True
            else:
                finish = False
        if finish:
            self._finish(upload)
        return self._wait_for(id, upload)

    def _find_upload(self, id: bytes) -> Upload:
        with self._lock:
            upload = self._uploads.find(id)
        if upload is None:
            raise unknown_artifact(id)
        return upload

    def _finish(self, upload: Upload) -> None:
        # Waits for the disk, so without holding the lock.
        id = upload.manifest.id
        try:
            upload.finish(self._data_path(id), self._manifest_path(id))
        except BaseException:
            with self._lock:
                self._uploads.stop_finishing(upload, is_stored=False)
            raise
        else:
            with self._lock:
                self._sizes[id] = upload.manifest.size
                self._uploads.stop_finishing(upload, is_stored=True)
        finally:
            upload.ended.set()

    def _wait_for(self, id: bytes, upload: Upload) -> int:
        # Another thread may be completing it, or it may have been deleted.
        with self._lock:
            is_finishing = self._uploads.is_finishing(upload)
        if is_finishing:
            upload.ended.wait()
        if not self.has(id):
            raise unknown_artifact(id)
        return upload.next_chunk

    # Room ---------------------------------------------------------------------------------

    def _check_room(self, size: int) -> None:
        used = sum(self._sizes.values())
        if used + size > self._max_total:
            raise self._store_full(used, size)

    def _make_room(self, size: int) -> None:
        # The last one in order is the upload that needs the room.
        while self.used_bytes() + size > self._max_total:
            if len(self._uploads) == 1:
                raise self._store_full(self.used_bytes(), size)
            self._uploads.drop_least_recent()

    def _store_full(self, used: int, size: int) -> RefusalError:
        return RefusalError(
            DataCode.STORE_FULL,
            f"there is no room for {size} bytes: artifacts take {used} of {self._max_total} bytes; "
            "delete some, or raise the limit",
            field="artifact",
            limit=str(self._max_total),
        )
