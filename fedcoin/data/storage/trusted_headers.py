"""Headers and certificates below the snapshot that a database started from.

A node that starts from a snapshot does not hold the blocks up to the snapshot's height. It keeps
the headers that prove which validators decided which height, so that it can serve light clients
and verify itself.
"""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass, field
from typing import Final

from fedcoin.data.crypto.hashing import sha256
from fedcoin.data.storage.block_index import SnapshotTask, write_snapshot_index

SELECT_LAST_HEIGHT: Final = (
    "SELECT coalesce((SELECT max(height) FROM blocks),"
    " (SELECT max(height) FROM trusted_headers), 0)"
)
"""SQL for the height of the last block, or of the snapshot; 0 for genesis alone."""

SELECT_BASE_HEIGHT: Final = "SELECT coalesce(max(height), 0) FROM trusted_headers"
"""SQL for the snapshot's height, up to which no blocks are stored; 0 without a snapshot."""

_SELECT_LAST_BLOCK: Final = (
    "SELECT {0} FROM (SELECT height, hash, header FROM blocks"
    " UNION ALL SELECT height, hash, header FROM trusted_headers) ORDER BY height DESC LIMIT 1"
)


@dataclass(frozen=True, slots=True)
class TrustedHeader:
    """A header whose block is not stored, with the certificate that made the block final."""

    height: int
    """The block's height."""
    header: bytes = field(repr=False)
    """The serialised BlockHeader."""
    certificate: bytes = field(repr=False)
    """The serialised Certificate."""
    next_validators: bytes = field(repr=False)
    """The serialised ValidatorSetState of the next height when the block changed the validators;
    otherwise empty."""


@dataclass(frozen=True, slots=True)
class SnapshotBase:
    """The data that a database needs, beside the state, to continue a chain from a snapshot."""

    headers: tuple[TrustedHeader, ...]
    """In order of height; the last one is the snapshot's own."""
    campaigns: tuple[bytes, ...]
    """The ids, 32 bytes each, of all campaigns in the state."""
    tasks: tuple[SnapshotTask, ...]
    """All tasks in the state."""

    @property
    def height(self) -> int:
        """The height of the block that the snapshot's state follows."""
        return self.headers[-1].height


def select_last_block(columns: str) -> str:
    """Return the SQL query for the last block, or for the snapshot's header if no block is stored.

    Args:
        columns: Any of `height`, `hash` and `header`, separated by commas.

    Returns:
        An SQL statement that finds at most one row.
    """
    return _SELECT_LAST_BLOCK.format(columns)


def write_snapshot_base(connection: sqlite3.Connection, base: SnapshotBase) -> None:
    """Write the trusted headers and the index rows of a snapshot.

    Args:
        connection: A connection inside the caller's write transaction.
        base: The snapshot's trusted headers, campaigns and tasks.
    """
    connection.executemany(
        "INSERT INTO trusted_headers VALUES (?, ?, ?, ?, ?)",
        [
            (
                entry.height,
                sha256(entry.header),
                entry.header,
                entry.certificate,
                entry.next_validators,
            )
            for entry in base.headers
        ],
    )
    write_snapshot_index(connection, base.height, base.campaigns, base.tasks)
