"""The table `state`: one entry for each key of the ledger's state after the last block."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from typing import Final

from fedcoin.data.storage.database import Database

_PAGE: Final = 1_024
_PUT: Final = (
    "INSERT INTO state VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value"
)


def read_entry(database: Database, key: bytes) -> bytes | None:
    """Read an entry.

    Args:
        database: The node's database.
        key: The entry's key.

    Returns:
        The value, or None when the state has no such key.
    """
    row = database.row("SELECT value FROM state WHERE key = ?", (key,))
    return None if row is None else bytes(row[0])


def scan_entries(database: Database, prefix: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Read the entries whose keys begin with a prefix, 1,024 at a time.

    Args:
        database: The node's database.
        prefix: The prefix; empty for all entries.

    Yields:
        Keys and values, in the order of the keys. What is written meanwhile shows from the next
        page on.
    """
    comparison, start, end = ">=", prefix, _end_of_prefix(prefix)
    condition = "" if end is None else " AND key < ?"
    while True:
        rows = database.rows(
            f"SELECT key, value FROM state WHERE key {comparison} ?{condition}"
            f" ORDER BY key LIMIT {_PAGE}",
            (start,) if end is None else (start, end),
        )
        yield from rows
        if len(rows) < _PAGE:
            return
        comparison, start = ">", rows[-1][0]


def write_changes(connection: sqlite3.Connection, changes: Mapping[bytes, bytes | None]) -> None:
    """Write the entries of the state that a block changes.

    Args:
        connection: A connection inside the caller's write transaction.
        changes: Values by key; None deletes a key.
    """
    connection.executemany(
        _PUT, [(key, value) for key, value in changes.items() if value is not None]
    )
    connection.executemany(
        "DELETE FROM state WHERE key = ?",
        [(key,) for key, value in changes.items() if value is None],
    )


def replace_entries(
    connection: sqlite3.Connection, batches: Iterable[Iterable[tuple[bytes, bytes]]]
) -> None:
    """Delete all entries of the state, and write others.

    Args:
        connection: A connection inside the caller's write transaction.
        batches: Keys and values of the new entries, in batches, which are read one by one.
    """
    connection.execute("DELETE FROM state")
    for batch in batches:
        connection.executemany("INSERT INTO state VALUES (?, ?)", batch)


def _end_of_prefix(prefix: bytes) -> bytes | None:
    """Return the smallest key above all keys with this prefix; None when there is none."""
    trimmed = prefix.rstrip(b"\xff")
    return trimmed[:-1] + bytes((trimmed[-1] + 1,)) if trimmed else None
