from __future__ import annotations

import sqlite3
from collections.abc import Iterator

import pytest

from fedcoin.data.storage.schema import (
    APPLICATION_ID,
    MIGRATIONS,
    PRIMARY_KEYS,
    SCHEMA_VERSION,
    TABLES,
    migrate,
    read_version,
    select_all_rows,
)


@pytest.fixture
def connection() -> Iterator[sqlite3.Connection]:
    opened = sqlite3.connect(":memory:", isolation_level=None)
    yield opened
    opened.close()


def names(connection: sqlite3.Connection) -> set[str]:
    return {row[0] for row in connection.execute("SELECT name FROM sqlite_master")}


def test_from_nothing_to_the_newest(connection: sqlite3.Connection) -> None:
    assert read_version(connection) == 0
    migrate(connection)
    assert read_version(connection) == SCHEMA_VERSION
    assert names(connection) >= TABLES
    assert connection.execute("PRAGMA application_id").fetchone() == (APPLICATION_ID,)
    migrate(connection)


def test_primary_keys_are_those_of_the_tables(connection: sqlite3.Connection) -> None:
    migrate(connection)
    assert set(PRIMARY_KEYS) == TABLES
    for table, keys in PRIMARY_KEYS.items():
        columns = connection.execute(f"PRAGMA table_info({table})").fetchall()
        found = sorted((place, name) for _, name, _, _, _, place in columns if place)
        assert ", ".join(name for _, name in found) == keys
        assert connection.execute(select_all_rows(table)).fetchall() == []


def test_each_step_builds_on_the_last(connection: sqlite3.Connection) -> None:
    migrate(connection)
    connection.execute("INSERT INTO state VALUES (x'01', x'02')")
    later = (
        *MIGRATIONS,
        ("ALTER TABLE state ADD COLUMN added INTEGER NOT NULL DEFAULT 7",),
        ("CREATE TABLE later (x)", "UPDATE state SET added = 8"),
    )
    migrate(connection, later)
    assert read_version(connection) == SCHEMA_VERSION + 2
    assert connection.execute("SELECT * FROM state").fetchall() == [(b"\1", b"\2", 8)]


def test_a_step_that_fails_leaves_the_one_before(connection: sqlite3.Connection) -> None:
    later = (*MIGRATIONS, ("CREATE TABLE later (x)",), ("CREATE TABLE more (x)", "nonsense"))
    with pytest.raises(sqlite3.OperationalError):
        migrate(connection, later)
    assert read_version(connection) == SCHEMA_VERSION + 1
    assert "later" in names(connection)
    assert "more" not in names(connection)
