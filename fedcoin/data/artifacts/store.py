"""A node's artifacts in one folder: complete ones under their id, uploads under `partial/`.

`complete_artifacts` reads the former; this module receives the latter, and bounds the size of all.
An artifact arrives chunk by chunk, in order. Each chunk is checked before it is written, so an
upload that broke off continues where it stopped, also after a restart. A complete artifact is
flushed to disk and renamed: a file that is named by an id holds that artifact.

    <id in hex>.data, <id in hex>.manifest
    partial/<id in hex>.data, partial/<id in hex>.manifest

The size of all artifacts together is bounded. When space runs out, incomplete uploads are
deleted, the least recently used first, wherever they are; complete artifacts never are.

What a node holds for a private campaign lies in a folder of its own, the campaign's *room*:

    private/<campaign id in hex>/<id in hex>.data, ...

A room is a store as well, and gets whole artifacts of its own: an artifact that one room or the
folder above holds counts as missing in another. So a copy never becomes available to those for whom
it was not sent, whatever else names its id. All share the limit on the size.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Final

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

_PRIVATE: Final = "private"
_ROOM_NAME: Final = re.compile(r"[0-9a-f]{64}", re.ASCII)


def room_folder(root: Path, campaign_id: bytes) -> Path:
    """Name the folder of a private campaign's room.

    Args:
        root: The folder of a store.
        campaign_id: The campaign's id, 32 bytes; empty for the store itself.

    Returns:
        The folder, which may not exist.
    """
    return root / _PRIVATE / campaign_id.hex() if campaign_id else root


def list_rooms(root: Path) -> list[bytes]:
    """List the private campaigns that a store's folder has rooms for.

    Args:
        root: The folder of a store, which a node may have open.

    Returns:
        The ids of the campaigns, 32 bytes each, in rising order.
    """
    names = sorted(folder.name for folder in (root / _PRIVATE).glob("*"))
    return [bytes.fromhex(name) for name in names if _ROOM_NAME.fullmatch(name)]


def _remove_empty(room: Path) -> bool:
    """Remove a room that holds nothing: each private campaign that is seen makes one."""
    try:
        (room / "partial").rmdir()
        room.rmdir()
    except OSError:
        return False
    return True


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
        # All stores that share this one's limit: the folder's and its rooms.
        self._family: list[ArtifactStore] = [self]
        self._rooms: dict[bytes, ArtifactStore] = {}
        self._rooms_lock = threading.Lock()
        for campaign_id in list_rooms(root):
            if not _remove_empty(room_folder(root, campaign_id)):
                self.room(campaign_id)

    # Rooms --------------------------------------------------------------------------------

    def room(self, campaign_id: bytes) -> ArtifactStore:
        """Open the store of what is held for a private campaign.

        Args:
            campaign_id: The campaign's id, 32 bytes; empty for what everybody may have.

        Returns:
            The campaign's store, which is created when it is missing; this store without an id.
        """
        if not campaign_id:
            return self
        with self._rooms_lock:
            room = self._rooms.get(campaign_id)
            if room is None:
                folder = room_folder(self._root, campaign_id)
                room = ArtifactStore(folder, self._max_total, self._max_artifact)
                # One lock for all, so that each may delete uploads of the others to make room.
                room._lock, room._family = self._lock, self._family
                with self._lock:
                    self._family.append(room)
                self._rooms[campaign_id] = room
            return room

    def rooms(self) -> Mapping[bytes, ArtifactStore]:
        """List the stores of private campaigns, by the campaign's id."""
        with self._rooms_lock:
            return dict(self._rooms)

    # Whole artifacts ----------------------------------------------------------------------

    @property
    def max_bytes_total(self) -> int:
        """The largest size of all artifacts together, in bytes."""
        return self._max_total

    def used_bytes(self) -> int:
        """Add up the sizes of all artifacts, complete or not, in bytes, without manifests.

        Those of rooms count as well, and in a room those of the whole store.
        """
        with self._lock:
            return self._complete_bytes() + sum(one._uploads.num_bytes for one in self._family)

    def _complete_bytes(self) -> int:
        return sum(sum(one._sizes.values()) for one in self._family)

    def put(self, data: bytes | Path, manifest: ArtifactManifest | None = None) -> bytes:
        """Store an artifact.

        Args:
            data: The artifact's bytes, or a file to copy.
            manifest: What `build_manifest` returned for the data, which is then not hashed again;
                None builds it.

        Returns:
            The artifact's id, 32 bytes.

        Raises:
            RefusalError: BAD_ARTIFACT when the artifact is empty, TOO_LARGE when it is above the
                limit on one artifact, STORE_FULL when there is no room for it, or BAD_CHUNK when
                the file changes meanwhile.
        """
        if manifest is None:
            manifest = build_manifest(data)
        self.begin(manifest)
        for index, chunk in enumerate(iterate_chunks(data)):
            upload = self._find_upload(manifest.id)
            if upload is None:
                break
            if isinstance(data, Path):  # bytes do not change after they were hashed
                check_chunk(manifest, index, chunk)
            self._add(upload, index, chunk)
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
        upload = self._find_upload(id)
        if upload is None:
            return self.next_chunk(id)
        # Hash the chunk without holding the lock.
        check_chunk(upload.manifest, index, data)
        return self._add(upload, index, data)

    def _add(self, upload: Upload, index: int, data: bytes) -> int:
        """Add a checked chunk; returns the index of the next one wanted."""
        id = upload.manifest.id
        with self._lock:
            if self._uploads.is_receiving(upload):
                self._uploads.mark_used(upload)
                if index == upload.next_chunk:
                    self._make_room(len(data), upload)
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

    def _find_upload(self, id: bytes) -> Upload | None:
        """Return the upload of an artifact; None when the artifact is complete."""
        with self._lock:
            if self.has(id):
                return None
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
        used = self._complete_bytes()
        if used + size > self._max_total:
            raise self._store_full(used, size)

    def _make_room(self, size: int, upload: Upload) -> None:
        # In all rooms: else parts that never become whole in one would keep artifacts out of the
        # others.
        while self.used_bytes() + size > self._max_total:
            sets = [one._uploads for one in self._family if one._uploads.least_recent(upload)]
            if not sets:
                raise self._store_full(self.used_bytes(), size)
            oldest = min(sets, key=lambda one: one.oldest_use)
            oldest.drop_least_recent()

    def _store_full(self, used: int, size: int) -> RefusalError:
        return RefusalError(
            DataCode.STORE_FULL,
            f"there is no room for {size} bytes: artifacts take {used} of {self._max_total} bytes; "
            "delete some, or raise the limit",
            field="artifact",
            limit=str(self._max_total),
        )
