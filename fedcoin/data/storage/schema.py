"""The tables of a node's database, and the steps that led to them.

Each migration lifts a database by one version, inside one transaction; the version is kept
in SQLite's `user_version`. A migration that was released is never changed: new ones are added
at the end.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from typing import Final

APPLICATION_ID: Final = 0x46644331
"""SQLite's `application_id` of these databases: "FdC1"."""

MIGRATIONS: Final[tuple[tuple[str, ...], ...]] = (
    (
        "CREATE TABLE meta (name TEXT PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID",
        # The ledger's state after the last block; contract says what keys and values mean.
        "CREATE TABLE state (key BLOB PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID",
        "CREATE TABLE blocks (height INTEGER PRIMARY KEY, hash BLOB NOT NULL UNIQUE,"
        " header BLOB NOT NULL, block BLOB NOT NULL, certificate BLOB NOT NULL)",
        "CREATE TABLE receipts (height INTEGER NOT NULL, place INTEGER NOT NULL,"
        " receipt BLOB NOT NULL, PRIMARY KEY (height, place)) WITHOUT ROWID",
        # What follows can be made again from blocks and receipts.
        "CREATE TABLE transactions (hash BLOB PRIMARY KEY, height INTEGER NOT NULL,"
        " place INTEGER NOT NULL, sender BLOB NOT NULL) WITHOUT ROWID",
        "CREATE INDEX transactions_by_sender ON transactions (sender, height, place)",
        "CREATE TABLE campaigns (height INTEGER NOT NULL, place INTEGER NOT NULL,"
        " campaign_id BLOB NOT NULL, PRIMARY KEY (height, place)) WITHOUT ROWID",
        "CREATE TABLE tasks (height INTEGER NOT NULL, place INTEGER NOT NULL,"
        " task_id BLOB NOT NULL, campaign_id BLOB NOT NULL,"
        " PRIMARY KEY (height, place)) WITHOUT ROWID",
        "CREATE INDEX tasks_by_campaign ON tasks (campaign_id, height, place)",
        "CREATE TABLE reveals (task_id BLOB NOT NULL, miner BLOB NOT NULL,"
        " height INTEGER NOT NULL, place INTEGER NOT NULL,"
        " PRIMARY KEY (task_id, miner)) WITHOUT ROWID",
        "CREATE TABLE payments (height INTEGER NOT NULL, place INTEGER NOT NULL,"
        " address BLOB NOT NULL, task_id BLOB NOT NULL,"
        " PRIMARY KEY (height, place)) WITHOUT ROWID",
        "CREATE INDEX payments_by_task ON payments (task_id, height, place)",
        "CREATE INDEX payments_by_address ON payments (address, height, place)",
        # What this node's own validator said; never to be contradicted.
        "CREATE TABLE own_votes (height INTEGER NOT NULL, round INTEGER NOT NULL,"
        " kind TEXT NOT NULL, block_hash BLOB NOT NULL, envelope BLOB NOT NULL,"
        " PRIMARY KEY (height, round, kind)) WITHOUT ROWID",
    ),
    (
        # Headers of blocks that are not kept, in a store that began from a snapshot: those after
        # which others decided, with them (a serialised ValidatorSetState; else empty), and at the
        # greatest height the one on which the first block stands.
        "CREATE TABLE past (height INTEGER PRIMARY KEY, hash BLOB NOT NULL, header BLOB NOT NULL,"
        " certificate BLOB NOT NULL, next_validators BLOB NOT NULL)",
    ),
)

SCHEMA_VERSION: Final = len(MIGRATIONS)
"""The version that this program reads and writes."""

TABLES: Final = frozenset(
    (
        *("meta", "state", "blocks", "receipts", "own_votes", "past"),
        *("transactions", "campaigns", "tasks", "reveals", "payments"),
    )
)
"""The tables of the newest version."""


PRIMARY_KEYS: Final = {
    "meta": "name",
    "state": "key",
    "blocks": "height",
    "receipts": "height, place",
    "transactions": "hash",
    "campaigns": "height, place",
    "tasks": "height, place",
    "reveals": "task_id, miner",
    "payments": "height, place",
    "own_votes": "height, round, kind",
    "past": "height",
}
"""By what each table's rows are found, and in which order they lie."""


def every_row(table: str) -> str:
    """The query for all rows of one of `TABLES`, by its primary key."""
    return f"SELECT * FROM {table} ORDER BY {PRIMARY_KEYS[table]}"


def version_of(connection: sqlite3.Connection) -> int:
    """The schema version of a database; 0 for an empty one."""
    return int(connection.execute("PRAGMA user_version").fetchone()[0])


def migrate(
    connection: sqlite3.Connection, migrations: Sequence[Sequence[str]] = MIGRATIONS
) -> None:
    """Lift a database, step by step, to the version that `migrations` end at.

    `connection` must be in autocommit mode. A step that fails leaves the version before it.
    """
    for version in range(version_of(connection), len(migrations)):
        connection.execute("BEGIN IMMEDIATE")
        try:
            for statement in migrations[version]:
                connection.execute(statement)
            connection.execute(f"PRAGMA user_version = {version + 1}")
            connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        except BaseException:
            connection.execute("ROLLBACK")
            raise
        connection.execute("COMMIT")
