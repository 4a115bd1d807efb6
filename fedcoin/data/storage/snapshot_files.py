"""Snapshots as files, and the folder that holds those of a node.

A file is 20 bytes that name the format, followed by parts. A part is its length (4 bytes,
big-endian) and a serialised SnapshotPart. This module checks that a file is complete and can be
decoded; `contract.snapshots` checks what the parts say.
"""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from fedcoin.data.atomic_files import sync_folder
from fedcoin.data.errors import DataCode, RefusalError
from fedcoin.data.failpoints import Failpoint, reach
from fedcoin.data.field_checks import check_size
from fedcoin.data.messages import canonical
from fedcoin.v1.snapshot_pb2 import SnapshotPart

FORMAT: Final = b"fedcoin/snapshot/v1\n"
"""The first 20 bytes of a snapshot file."""

MAX_PART_BYTES: Final = (4 << 20) - 1024
"""The largest size of a serialised part, in bytes: it fits in one message of 4 MiB."""

_SUBJECT: Final = "snapshot"

_SUFFIX: Final = ".snapshot"
_LENGTH_BYTES: Final = 4
_INCOMING: Final = "incoming-*.part"
_INCOMING_NAME: Final = re.compile(r"incoming-(\d{1,19})-([0-9a-f]{64})\.part", re.ASCII)

_CHUNK_TAG: Final = bytes((SnapshotPart.CHUNK_FIELD_NUMBER << 3 | 2,))
"""The first byte of a part that holds a chunk: the tag of its only field."""


class SnapshotWriter:
    """Appends parts to a snapshot file."""

    def __init__(self, path: Path) -> None:
        """Open a file for appending; write the format to a new one.

        Args:
            path: The file, which may exist.
        """
        self._file = path.open("ab")
        if self._file.tell() == 0:
            self._file.write(FORMAT)

    @property
    def position(self) -> int:
        """The offset in bytes at which the next part begins."""
        return self._file.tell()

    def add(self, part: SnapshotPart) -> None:
        """Append a part: its length and its bytes.

        Args:
            part: A header, chunk or other part, in the order that `contract.snapshots` prescribes.

        Raises:
            RefusalError: TOO_LARGE when it has more than `MAX_PART_BYTES` bytes.
        """
        raw = canonical.encode(part)
        check_size(raw, MAX_PART_BYTES, "part")
        self._file.write(len(raw).to_bytes(_LENGTH_BYTES, "big") + raw)
        reach(Failpoint.CHUNK_WRITTEN, _SUBJECT)

    def close(self) -> None:
        """Close the file; all parts are on disk when this returns."""
        self._file.flush()
        reach(Failpoint.FILE_WRITTEN, _SUBJECT)
        os.fsync(self._file.fileno())
        reach(Failpoint.FILE_SYNCED, _SUBJECT)
        self._file.close()


def replace_part(path: Path, position: int, part: SnapshotPart) -> None:
    """Overwrite a part by one whose serialised size is the same.

    Args:
        path: The snapshot file.
        position: The offset in bytes at which the old part begins.
        part: The new part.
    """
    with path.open("rb+") as file:
        file.seek(position + _LENGTH_BYTES)
        file.write(canonical.encode(part))
        os.fsync(file.fileno())


def read_raw_parts(path: Path, first_chunk: int = 0) -> Iterator[bytes]:
    """Read the serialised parts of a file.

    Args:
        path: The snapshot file.
        first_chunk: The number, from 1, of the first chunk to return; parts before it are
            skipped. 0 returns all parts.

    Returns:
        An iterator over the serialised parts.

    Raises:
        RefusalError: BAD_SNAPSHOT when the file is not a snapshot or ends within a part.
    """
    return (raw for _, raw in _read_with_ends(path, first_chunk))


def read_parts(path: Path) -> Iterator[SnapshotPart]:
    """Read and decode the parts of a file.

    Args:
        path: The snapshot file.

    Returns:
        An iterator over the parts.

    Raises:
        RefusalError: BAD_SNAPSHOT when the file is not a snapshot, ends within a part, or a part
            cannot be decoded.
    """
    return (part for part, _ in read_parts_with_ends(path))


def read_parts_with_ends(path: Path) -> Iterator[tuple[SnapshotPart, int]]:
    """Read and decode the parts of a file, with the offset at which each ends.

    Args:
        path: The snapshot file.

    Yields:
        Each part and the offset in bytes behind it.

    Raises:
        RefusalError: BAD_SNAPSHOT when the file is not a snapshot, ends within a part, or a part
            cannot be decoded.
    """
    for number, (end, raw) in enumerate(_read_with_ends(path)):
        try:
            part = canonical.decode(SnapshotPart, raw)
        except RefusalError as refusal:
            raise snapshot_error(path, f"cannot be decoded at part {number}: {refusal}") from None
        yield part, end


def count_parts(path: Path) -> int:
    """Count the parts of a file by their lengths alone, for a progress display.

    Args:
        path: The snapshot file; it is not checked.

    Returns:
        The number of parts that the lengths in the file describe.
    """
    count, size = 0, path.stat().st_size
    with path.open("rb") as file:
        file.seek(len(FORMAT))
        while file.tell() < size:
            file.seek(int.from_bytes(file.read(_LENGTH_BYTES), "big"), os.SEEK_CUR)
            count += 1
    return count


def snapshot_error(path: Path, fault: str) -> RefusalError:
    """Make the refusal of a snapshot file that cannot be used.

    Args:
        path: The snapshot file.
        fault: What is wrong with it, as the rest of a sentence that begins with the path.

    Returns:
        A refusal with code BAD_SNAPSHOT.
    """
    return RefusalError(DataCode.BAD_SNAPSHOT, f"{path} {fault}", field="snapshot")


def _read_with_ends(path: Path, first_chunk: int = 0) -> Iterator[tuple[int, bytes]]:
    with path.open("rb") as file:
        start = file.read(len(FORMAT))
        if start != FORMAT:
            is_cut = FORMAT.startswith(start)
            raise snapshot_error(path, "is empty or cut short" if is_cut else "is not a snapshot")
        number = chunks = 0
        while head := file.read(_LENGTH_BYTES):
            length = int.from_bytes(head, "big")
            if not 0 < length <= MAX_PART_BYTES:
                raise snapshot_error(
                    path,
                    f"has a part {number} of {length} bytes; 1 to {MAX_PART_BYTES} are allowed",
                )
            tag = file.read(1)
            chunks += tag == _CHUNK_TAG
            if chunks < first_chunk:
                file.seek(length - 1, os.SEEK_CUR)
            else:
                raw = tag + file.read(length - 1)
                if len(head) < _LENGTH_BYTES or len(raw) < length:
                    raise snapshot_error(path, f"ends within part {number}: it was cut short")
                yield file.tell(), raw
            number += 1


class SnapshotFolder:
    """A node's snapshots, named `HEIGHT.snapshot`, and the incomplete files beside them."""

    def __init__(self, root: Path) -> None:
        """Use a folder, which is created (mode 0700) before the first file is written.

        Args:
            root: The folder, which need not exist.
        """
        self._root = root

    @property
    def making(self) -> Path:
        """The file that a new snapshot is written to until it is complete."""
        return self._create() / "making.part"

    def incoming(self, height: int, block_hash: bytes) -> Path:
        """Name the file that keeps a download over restarts; of others, keep the latest alone.

        Args:
            height: The height of the snapshot that is being downloaded.
            block_hash: The hash of its block, 32 bytes.

        Returns:
            The path of the file, which may exist.
        """
        wanted = f"incoming-{height}-{block_hash.hex()}.part"
        others = [path for path in self._create().glob(_INCOMING) if path.name != wanted]
        for path in sorted(others, key=lambda path: path.stat().st_mtime)[:-1]:
            path.unlink()
        return self._root / wanted

    def list_incoming(self) -> set[tuple[int, bytes]]:
        """List the snapshots of which a file keeps a download, by height and block hash."""
        found = map(_INCOMING_NAME.fullmatch, (path.name for path in self._root.glob(_INCOMING)))
        return {(int(one[1]), bytes.fromhex(one[2])) for one in found if one is not None}

    def path(self, height: int) -> Path:
        """Name the snapshot of a height.

        Args:
            height: The snapshot's height.

        Returns:
            The path of the file, which need not exist.
        """
        return self._root / f"{height}{_SUFFIX}"

    def heights(self) -> list[int]:
        """List the heights of the complete snapshots, the latest first."""
        names = [path.name.removesuffix(_SUFFIX) for path in self._root.glob(f"*{_SUFFIX}")]
        return sorted((int(name) for name in names if name.isdecimal()), reverse=True)

    def publish(self, part: Path, height: int) -> Path:
        """Give a complete file, whose content is on disk, its final name; delete downloads.

        Args:
            part: The file to rename.
            height: The snapshot's height.

        Returns:
            The path of the snapshot, whose name is on disk.
        """
        part.replace(self.path(height))
        for path in self._root.glob(_INCOMING):
            path.unlink()
        reach(Failpoint.FILE_RENAMED, _SUBJECT)
        sync_folder(self._root)
        reach(Failpoint.FILE_DONE, _SUBJECT)
        return self.path(height)

    def prune(self, count: int, always: int) -> None:
        """Delete all but the latest snapshots.

        Args:
            count: How many of the latest snapshots stay.
            always: The height of a snapshot that stays in any case.
        """
        for height in self.heights()[count:]:
            if height != always:
                with contextlib.suppress(FileNotFoundError):
                    self.path(height).unlink()

    def _create(self) -> Path:
        self._root.mkdir(mode=0o700, exist_ok=True)
        return self._root
