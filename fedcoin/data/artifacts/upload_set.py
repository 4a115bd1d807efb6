"""The uploads of a store: those that still receive chunks, and those that are being completed."""

from __future__ import annotations

import itertools
from collections.abc import Container
from pathlib import Path
from typing import Final

from fedcoin.data.artifacts.upload import Upload, resume_uploads
from fedcoin.v1.artifact_pb2 import ArtifactManifest

MAX_UPLOADS: Final = 64
"""The largest number of uploads that receive chunks."""

_uses = itertools.count(1)
"""Numbers the uses of all sets of a process, which share the room of one disk."""


class UploadSet:
    """A bounded number of uploads, in the order of their last use.

    Not safe to use from several threads at once: the store locks it.
    """

    def __init__(self, folder: Path, complete: Container[bytes]) -> None:
        """Resume the uploads that an earlier process left.

        Args:
            folder: The folder of the incomplete files.
            complete: The ids of artifacts that are complete, whose uploads are deleted.
        """
        self._folder = folder
        # In the order of their last use, the least recent first.
        self._receiving: dict[bytes, Upload] = resume_uploads(folder, complete)
        self._finishing: dict[bytes, Upload] = {}

    def __len__(self) -> int:
        """Count the uploads that receive chunks."""
        return len(self._receiving)

    @property
    def num_bytes(self) -> int:
        """The number of bytes that have arrived in all uploads."""
        uploads = (*tuple(self._receiving.values()), *tuple(self._finishing.values()))
        return sum(upload.num_bytes for upload in uploads)

    def find(self, id: bytes) -> Upload | None:
        """Find an upload, whether it receives chunks or is being completed.

        Args:
            id: The artifact's id, 32 bytes.

        Returns:
            The upload, or None when there is none.
        """
        return self._receiving.get(id) or self._finishing.get(id)

    def is_receiving(self, upload: Upload) -> bool:
        """Tell whether an upload still receives chunks, and was not deleted.

        Args:
            upload: An upload that this set has given out.

        Returns:
            True when chunks may be added to it.
        """
        return self._receiving.get(upload.manifest.id) is upload

    def is_finishing(self, upload: Upload) -> bool:
        """Tell whether a thread is completing an upload.

        Args:
            upload: An upload that this set has given out.

        Returns:
            True between `start_finishing` and `stop_finishing`.
        """
        return self._finishing.get(upload.manifest.id) is upload

    def begin(self, manifest: ArtifactManifest) -> Upload:
        """Start an upload; if that makes more than `MAX_UPLOADS`, delete the least recently used.

        Args:
            manifest: A manifest that was checked, of an artifact that has no upload.

        Returns:
            A new upload, of which nothing has arrived.
        """
        while len(self._receiving) >= MAX_UPLOADS:
            self.drop_least_recent()
        upload = self._receiving[manifest.id] = Upload.begin(self._folder, manifest)
        return upload

    def mark_used(self, upload: Upload) -> None:
        """Make an upload that receives chunks the most recently used one.

        Args:
            upload: An upload for which `is_receiving` is true.
        """
        self._receiving[upload.manifest.id] = self._receiving.pop(upload.manifest.id)
        upload.last_use = next(_uses)

    def least_recent(self, other: Upload) -> Upload | None:
        """Find the upload that was not used for the longest time.

        Args:
            other: The upload that was used last, which is left out.

        Returns:
            An upload that receives chunks; None when there is none beside `other`.
        """
        first = next(iter(self._receiving.values()), None)
        return None if first is other else first

    @property
    def oldest_use(self) -> int:
        """When `least_recent` was used, a number that rises in all sets; 0 before a restart."""
        return next(iter(self._receiving.values())).last_use

    def drop(self, id: bytes) -> bool:
        """Delete an upload that receives chunks.

        Args:
            id: The artifact's id, 32 bytes.

        Returns:
            True when there was one.
        """
        upload = self._receiving.pop(id, None)
        if upload is not None:
            upload.drop()
        return upload is not None

    def drop_least_recent(self) -> None:
        """Delete the upload that was not used for the longest time."""
        self.drop(next(iter(self._receiving)))

    def complete_uploads(self) -> list[Upload]:
        """List the uploads that have all chunks and that no thread is completing yet."""
        return [upload for upload in self._receiving.values() if upload.is_complete]

    def start_finishing(self, upload: Upload) -> None:
        """Reserve a complete upload for one thread: no other can delete it or add to it.

        Args:
            upload: An upload of this set that has all chunks.
        """
        upload.ended.clear()
        self._finishing[upload.manifest.id] = self._receiving.pop(upload.manifest.id)

    def stop_finishing(self, upload: Upload, *, is_stored: bool) -> None:
        """End what `start_finishing` began.

        Args:
            upload: An upload that the caller's thread has reserved with `start_finishing`.
            is_stored: True when the artifact has its final names; False makes the upload receive
                its last chunk again.
        """
        del self._finishing[upload.manifest.id]
        if not is_stored:
            self._receiving[upload.manifest.id] = upload
