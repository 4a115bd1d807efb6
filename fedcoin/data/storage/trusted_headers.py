"""What a chain keeps of the blocks that it does not have, having begun from a snapshot."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass, field
from typing import Final

from fedcoin.data.crypto.hashing import sha256
from fedcoin.data.storage.block_index import OldTask, write_old_index

LAST_HEIGHT: Final = (
    "SELECT coalesce((SELECT max(height) FROM blocks), (SELECT max(height) FROM past), 0)"
)
"""The height of the last block, kept or not; 0 for genesis alone."""

BASE_HEIGHT: Final = "SELECT coalesce(max(height), 0) FROM past"
"""The height up to which blocks are not kept; 0 for a chain that is whole."""

_LAST: Final = (
    "SELECT {0} FROM (SELECT height, hash, header FROM blocks"
    " UNION ALL SELECT height, hash, header FROM past) ORDER BY height DESC LIMIT 1"
)


@dataclass(frozen=True, slots=True)
class PastHeader:
    """A header whose block is not kept, as serialised, and its certificate."""

    height: int
    header: bytes = field(repr=False)
    certificate: bytes = field(repr=False)
    next_validators: bytes = field(repr=False)
    """A serialised ValidatorSetState: who decides from the next height on, if these are others
    than before; else empty."""


@dataclass(frozen=True, slots=True)
class Base:
    """What a chain stands on that begins from a snapshot."""

    past: tuple[PastHeader, ...]
    """By height; the last one is the snapshot's own."""
    campaigns: tuple[bytes, ...]
    """The ids of those in the state."""
    tasks: tuple[OldTask, ...]

    @property
    def height(self) -> int:
        """The snapshot's height."""
        return self.past[-1].height


def last_block(columns: str) -> str:
    """The query for columns (height, hash, header) of the last block, kept or not."""
    return _LAST.format(columns)


def write_base(connection: sqlite3.Connection, base: Base) -> None:
    """Write all of it but the state, inside the caller's transaction."""
    connection.executemany(
        "INSERT INTO past VALUES (?, ?, ?, ?, ?)",
        [
            (p.height, sha256(p.header), p.header, p.certificate, p.next_validators)
            for p in base.past
        ],
    )
    write_old_index(connection, base.height, base.campaigns, base.tasks)
