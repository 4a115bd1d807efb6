"""The tables `blocks` and `receipts`: the stored blocks, and their receipts."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from fedcoin.data.crypto.hashing import sha256
from fedcoin.data.errors import DataCode, RefusalError
from fedcoin.data.messages.blocks import Block
from fedcoin.data.messages.transactions import Transaction
from fedcoin.data.storage.database import Database
from fedcoin.data.storage.trusted_headers import SELECT_BASE_HEIGHT, select_last_block


@dataclass(frozen=True, slots=True)
class StoredBlock:
    """A block and the certificate that made it final."""

    raw: bytes = field(repr=False)
    """The serialised Block."""
    certificate: bytes = field(repr=False)
    """The serialised Certificate of the block."""


@dataclass(frozen=True, slots=True)
class BlockEntry:
    """A block with everything that follows from it."""

    block: Block
    """The block."""
    certificate: bytes
    """The serialised Certificate that makes it final."""
    receipts: Sequence[bytes]
    """The block's serialised receipts, in order."""
    changes: Mapping[bytes, bytes | None]
    """The entries of the state that the block changes; None deletes a key."""
    transactions: Sequence[Transaction]
    """The block's transactions, decoded."""


def write_block(
    connection: sqlite3.Connection, block: Block, certificate: bytes, receipts: Sequence[bytes]
) -> None:
    """Write a block and its receipts.

    Args:
        connection: A connection inside the caller's write transaction.
        block: A block that passed all checks and follows the last stored one.
        certificate: The serialised Certificate that makes it final.
        receipts: The block's serialised receipts, in order.
    """
    connection.execute(
        "INSERT INTO blocks VALUES (?, ?, ?, ?, ?)",
        (block.height, block.hash, block.header_bytes, block.raw, certificate),
    )
    connection.executemany(
        "INSERT INTO receipts VALUES (?, ?, ?)",
        [(block.height, position, raw) for position, raw in enumerate(receipts)],
    )


def check_blocks(database: Database, path: Path) -> None:
    """Check that no block is missing up to the last one, whose header must match its hash.

    Args:
        database: The open database.
        path: Its file, for the error.

    Raises:
        RefusalError: BAD_STORE when the heights have a gap, or the last header does not have the
            hash that is stored with it.
    """
    count, first, last = database.rows("SELECT count(*), min(height), max(height) FROM blocks")[0]
    base = database.rows(SELECT_BASE_HEIGHT)[0][0]
    row = database.row(select_last_block("hash, header"))
    whole = count == 0 or (first == base + 1 and last == base + count)
    if not whole or (row is not None and sha256(row[1]) != row[0]):
        raise RefusalError(
            DataCode.BAD_STORE,
            f"{path} does not hold a whole chain up to its last block; restore it from a backup, "
            "or move it away to fetch the chain again",
            field="store",
        )
