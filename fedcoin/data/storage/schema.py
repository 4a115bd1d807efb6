"""Tables of a node's database, and the migrations that create them.

Each migration raises a database by one version, inside one transaction. SQLite's `user_version`
holds the version. A released migration is never changed: new ones are appended.

The tables after all migrations:

* `meta`: single values. "chain_id" and "genesis_hash" come from genesis, "protocol_version" is the
  decimal version that the chain follows (1 when there is no such row), "state_layout" the decimal
  layout of the state (1 when there is no such row), "initialised" is there once
  the state of genesis or of a snapshot is written, and "votes_floor" (a decimal height) says below
  which height this validator never signs.
* `state`: the ledger's state after the last block; `contract.state.records` defines its keys.
* `blocks`: for each stored block SHA-256 of its header, and the serialised BlockHeader, Block and
  Certificate.
* `receipts`: serialised Receipts, by height and index in the block.
* `transactions`, `campaigns`, `tasks`, `reveals`, `payments`: indexes, which follow from blocks and
  receipts or from the state of a snapshot. `position` is the index of the transaction, or of the
  receipt for payments, in its block. `reveals` has the latest reveal with evidence of each miner
  for each task.
* `own_votes`: what this node's validator signed. `kind` is "prevote", "precommit", "proposal" or
  "lock"; `block_hash` is empty for nil; `envelope` is the serialised SignedVote or SignedProposal,
  or the record that `consensus.lock_record` encodes.
* `trusted_headers`: headers below the snapshot that this database started from. They are each
  header after which the validators changed, with the new ones (a serialised ValidatorSetState), and
  at the greatest height the snapshot's own header, the parent of the first stored block.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from typing import Final

APPLICATION_ID: Final = 0x46644331
"""SQLite's `application_id` of these databases: the ASCII letters "FdC1"."""

MIGRATIONS: Final[tuple[tuple[str, ...], ...]] = (
    (
        "CREATE TABLE meta (name TEXT PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID",
        "CREATE TABLE state (key BLOB PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID",
        "CREATE TABLE blocks (height INTEGER PRIMARY KEY, hash BLOB NOT NULL UNIQUE,"
        " header BLOB NOT NULL, block BLOB NOT NULL, certificate BLOB NOT NULL)",
        "CREATE TABLE receipts (height INTEGER NOT NULL, place INTEGER NOT NULL,"
        " receipt BLOB NOT NULL, PRIMARY KEY (height, place)) WITHOUT ROWID",
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
        "CREATE TABLE own_votes (height INTEGER NOT NULL, round INTEGER NOT NULL,"
        " kind TEXT NOT NULL, block_hash BLOB NOT NULL, envelope BLOB NOT NULL,"
        " PRIMARY KEY (height, round, kind)) WITHOUT ROWID",
    ),
    (
        "CREATE TABLE past (height INTEGER PRIMARY KEY, hash BLOB NOT NULL, header BLOB NOT NULL,"
        " certificate BLOB NOT NULL, electorate BLOB NOT NULL)",
    ),
    (
        "ALTER TABLE receipts RENAME COLUMN place TO position",
        "ALTER TABLE transactions RENAME COLUMN place TO position",
        "ALTER TABLE campaigns RENAME COLUMN place TO position",
        "ALTER TABLE tasks RENAME COLUMN place TO position",
        "ALTER TABLE reveals RENAME COLUMN place TO position",
        "ALTER TABLE payments RENAME COLUMN place TO position",
        "ALTER TABLE past RENAME COLUMN electorate TO next_validators",
        "ALTER TABLE past RENAME TO trusted_headers",
    ),
)

SCHEMA_VERSION: Final = len(MIGRATIONS)
"""The version that this program reads and writes."""

PRIMARY_KEYS: Final = {
    "meta": "name",
    "state": "key",
    "blocks": "height",
    "receipts": "height, position",
    "transactions": "hash",
    "campaigns": "height, position",
    "tasks": "height, position",
    "reveals": "task_id, miner",
    "payments": "height, position",
    "own_votes": "height, round, kind",
    "trusted_headers": "height",
}
"""The columns of each table's primary key, as they are written in `ORDER BY`."""

TABLES: Final = frozenset(PRIMARY_KEYS)
"""The tables of the newest version."""


def select_all_rows(table: str) -> str:
    """Return the SQL query for all rows of a table, ordered by its primary key.

    Args:
        table: One of `TABLES`.

    Returns:
        An SQL statement without parameters.
    """
    return f"SELECT * FROM {table} ORDER BY {PRIMARY_KEYS[table]}"


def read_version(connection: sqlite3.Connection) -> int:
    """Read the schema version of a database.

    Args:
        connection: A connection to the database.

    Returns:
        The number of migrations that were applied; 0 for an empty database.
    """
    return int(connection.execute("PRAGMA user_version").fetchone()[0])


def migrate(
    connection: sqlite3.Connection, migrations: Sequence[Sequence[str]] = MIGRATIONS
) -> None:
    """Apply the migrations that a database lacks, each in a transaction of its own.

    When a migration fails, its transaction is rolled back, those before it stay applied, and the
    `sqlite3.Error` is passed on.

    Args:
        connection: A connection to the database, in autocommit mode.
        migrations: SQL statements of each migration, from version 0 on.
    """
    for version in range(read_version(connection), len(migrations)):
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
