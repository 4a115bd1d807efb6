"""The high-water mark of a validator's key: a small file beside the key, apart from the database.

It tells whether a database holds everything that the key has signed. A database that was restored
from a copy, or is empty, does not: the vote that the mark names is missing from it. The mark also
says below which height the key may have signed. That height is leased ahead, so that the file is
synced once for many heights; each vote is only written to it, which costs no sync. No vote waits
for a lease that is renewed before it ends (`sync`).
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from fedcoin.data.atomic_files import replace_file
from fedcoin.data.failpoints import Failpoint, reach

_RECORD_BYTES: Final = 256
"""The length of every record, so that one is overwritten by the next in a single write."""


_SYNC: Final = getattr(os, "fdatasync", os.fsync)
"""Waits until a file's content is on disk; macOS has no fdatasync."""


@dataclass(frozen=True, slots=True)
class VoteMark:
    """What a key may have signed in one network."""

    leased: int
    """The key has signed nothing at this height and above."""
    kind: str = ""
    """The kind of the latest vote, as in `OwnVote.kind`; empty before the first."""
    height: int = 0
    """The height of the latest vote; 0 before the first."""
    round: int = 0
    """The round of the latest vote."""


class VoteMarkFile:
    """The file that holds the mark of one key in one network. Its methods block.

    Args:
        path: The file; `lease` creates it.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    @classmethod
    def beside_key(cls, keys: Path, name: str, genesis_hash: bytes) -> VoteMarkFile:
        """Name the mark's file after the key and the network.

        Args:
            keys: The folder of the key's file.
            name: The key's name.
            genesis_hash: The network's genesis hash, 32 bytes.

        Returns:
            The file NAME-CHAIN.votes in `keys`, which may not exist.
        """
        return cls(keys / f"{name}-{genesis_hash.hex()[:16]}.votes")

    def exists(self) -> bool:
        """Tell whether there is a file, readable or not."""
        return self.path.exists()

    def read(self) -> VoteMark | None:
        """Read the mark.

        Returns:
            The mark; None when there is no file, or it is damaged.
        """
        try:
            fields = json.loads(self.path.read_bytes())
            mark = VoteMark(**fields)
        except (FileNotFoundError, ValueError, TypeError):
            return None
        numbers = (mark.leased, mark.height, mark.round)
        whole = isinstance(mark.kind, str) and all(type(number) is int for number in numbers)
        return mark if whole else None

    def lease(self, mark: VoteMark) -> None:
        """Write a mark with a higher lease; it is on disk when this returns.

        Args:
            mark: The mark to write; its `leased` is above every height signed so far.
        """
        replace_file(self.path, _encode(mark))

    def note(self, mark: VoteMark) -> None:
        """Write a mark with a later vote, without waiting for the disk.

        The mark survives a crash of the process, but not a power cut before `sync`.

        Args:
            mark: The mark to write. Its `leased` is that of the latest `lease`.
        """
        try:
            handle = os.open(self.path, os.O_WRONLY)
        except FileNotFoundError:
            self.lease(mark)
            return
        try:
            os.pwrite(handle, _encode(mark), 0)
            reach(Failpoint.MARK_WRITTEN, self.path.name)
        finally:
            os.close(handle)

    def sync(self) -> None:
        """Wait until the mark that was noted last is on disk."""
        handle = os.open(self.path, os.O_WRONLY)
        try:
            # The content alone: it is written over itself, and no size or time matters.
            _SYNC(handle)
        finally:
            os.close(handle)


def _encode(mark: VoteMark) -> bytes:
    fields = {
        "leased": mark.leased,
        "kind": mark.kind,
        "height": mark.height,
        "round": mark.round,
    }
    return json.dumps(fields).encode().ljust(_RECORD_BYTES - 1) + b"\n"
