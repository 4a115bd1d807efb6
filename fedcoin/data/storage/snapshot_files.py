"""Snapshots on disk: a file of parts, and the folder that holds a node's own.

A file is 20 bytes that name the format, then parts: each its length, 4 bytes, big-endian, and a
serialised SnapshotPart. What the parts say is for `contract.snapshots` to check; here a file is
whole, or it is refused.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from fedcoin.data.atomic_files import sync_folder
from fedcoin.data.errors import DataCode, RefusalError
from fedcoin.data.messages import canonical
from fedcoin.v1.snapshot_pb2 import SnapshotPart

FORMAT: Final = b"fedcoin/snapshot/v1\n"

MAX_PART_BYTES: Final = (4 << 20) - 1024
"""No part is longer: it has to fit into one message between peers."""

_SUFFIX: Final = ".snapshot"
_LENGTH: Final = 4


class SnapshotWriter:
    """Appends parts to a file; begins it when it is new."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("ab")
        if self._file.tell() == 0:
            self._file.write(FORMAT)

    @property
    def position(self) -> int:
        """Where the next part will stand."""
        return self._file.tell()

    def add(self, part: SnapshotPart) -> None:
        """Append a part. Raises Refusal TOO_LARGE."""
        raw = canonical.encode(part)
        canonical.check_size(raw, MAX_PART_BYTES, "part")
        self._file.write(len(raw).to_bytes(_LENGTH, "big") + raw)

    def close(self) -> None:
        """Have everything on disk."""
        self._file.flush()
        os.fsync(self._file.fileno())
        self._file.close()


def rewrite(path: Path, position: int, part: SnapshotPart) -> None:
    """Put a part in the place of another one of the same length."""
    with path.open("rb+") as file:
        file.seek(position + _LENGTH)
        file.write(canonical.encode(part))
        os.fsync(file.fileno())


def read_parts(path: Path, first_chunk: int = 0) -> Iterator[bytes]:
    """The serialised parts of a file: all, or those from a chunk on (numbered from 1).

    Raises Refusal BAD_SNAPSHOT when it is none, or ends within a part.
    """
    return (raw for _, raw in _placed(path, first_chunk))


def parts_of(path: Path) -> Iterator[SnapshotPart]:
    """The parts of a file. Raises Refusal BAD_SNAPSHOT."""
    return (part for part, _ in placed_parts(path))


def placed_parts(path: Path) -> Iterator[tuple[SnapshotPart, int]]:
    """The parts of a file, and the position at which each ends. Raises Refusal BAD_SNAPSHOT."""
    for number, (end, raw) in enumerate(_placed(path)):
        try:
            part = canonical.decode(SnapshotPart, raw)
        except RefusalError as refusal:
            raise bad_snapshot(path, f"cannot be read at part {number}: {refusal}") from None
        yield part, end


def count_parts(path: Path) -> int:
    """How many parts a file has, as it seems; quick, and nothing is checked."""
    count, size = 0, path.stat().st_size
    with path.open("rb") as file:
        file.seek(len(FORMAT))
        while file.tell() < size:
            file.seek(int.from_bytes(file.read(_LENGTH), "big"), os.SEEK_CUR)
            count += 1
    return count


def bad_snapshot(path: Path, what: str) -> RefusalError:
    """The file cannot be used."""
    return RefusalError(DataCode.BAD_SNAPSHOT, f"{path} {what}", field="snapshot")


# A part is a message with one field, whose tag tells the kind without decoding the rest.
_CHUNK_TAG: Final = bytes((SnapshotPart.CHUNK_FIELD_NUMBER << 3 | 2,))


def _placed(path: Path, first_chunk: int = 0) -> Iterator[tuple[int, bytes]]:
    with path.open("rb") as file:
        found = file.read(len(FORMAT))
        if found != FORMAT:
            cut = FORMAT.startswith(found)
            raise bad_snapshot(path, "is empty or cut short" if cut else "is no snapshot")
        number = chunks = 0
        while head := file.read(_LENGTH):
            length = int.from_bytes(head, "big")
            if not 0 < length <= MAX_PART_BYTES:
                raise bad_snapshot(path, f"says that part {number} has {length} bytes")
            tag = file.read(1)
            chunks += tag == _CHUNK_TAG
            if chunks < first_chunk:
                file.seek(length - 1, os.SEEK_CUR)
            else:
                raw = tag + file.read(length - 1)
                if len(head) < _LENGTH or len(raw) < length:
                    raise bad_snapshot(path, f"ends within part {number}: it was cut short")
                yield file.tell(), raw
            number += 1


class SnapshotFolder:
    """A node's snapshots, `HEIGHT.snapshot` each, and those that are not finished."""

    def __init__(self, root: Path) -> None:
        self._root = root

    @property
    def making(self) -> Path:
        """Where a snapshot is made, before it is whole."""
        return self._ready() / "making.part"

    def incoming(self, height: int, block_hash: bytes) -> Path:
        """Where what comes of a snapshot is kept, over restarts; others' remains are removed."""
        wanted = f"incoming-{height}-{block_hash.hex()}.part"
        for path in self._ready().glob("incoming-*.part"):
            if path.name != wanted:
                path.unlink()
        return self._root / wanted

    def path(self, height: int) -> Path:
        """The snapshot of a height, whether it is there or not."""
        return self._root / f"{height}{_SUFFIX}"

    def heights(self) -> list[int]:
        """The heights of those that are there, the latest first."""
        names = [path.name.removesuffix(_SUFFIX) for path in self._root.glob(f"*{_SUFFIX}")]
        return sorted((int(name) for name in names if name.isdecimal()), reverse=True)

    def publish(self, part: Path, height: int) -> Path:
        """Give a finished file, which is on disk, its place."""
        part.replace(self.path(height))
        sync_folder(self._root)
        return self.path(height)

    def keep(self, count: int, always: int) -> None:
        """Remove all but the latest `count`, and that of the height `always`."""
        for height in self.heights()[count:]:
            if height != always:
                with contextlib.suppress(FileNotFoundError):
                    self.path(height).unlink()

    def _ready(self) -> Path:
        self._root.mkdir(mode=0o700, exist_ok=True)
        return self._root
