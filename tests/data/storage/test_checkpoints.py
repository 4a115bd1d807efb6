from __future__ import annotations

import os
import sqlite3
import struct
import threading
from collections.abc import Sequence
from pathlib import Path

import pytest

from fedcoin.data.storage.checkpoints import (
    CHECKPOINT_PAGES,
    FIRST_COMMITS,
    MAX_COMMITS,
    MIN_COMMITS,
    Checkpoints,
    choose_commits,
)
from fedcoin.data.storage.database import Database

ROW_BYTES = 3000
LOG_BYTES = 256 * 1024


def log_of(path: Path) -> Path:
    return path.with_name(path.name + "-wal")


def read_log_index(path: Path) -> tuple[int, int]:
    """How many pages the log of a database has, and how many of them are in the file.

    Both are native integers in the WAL-index, whose form is a part of SQLite's file format.
    """
    index = path.with_name(path.name + "-shm").read_bytes()
    return struct.unpack_from("=I", index, 16)[0], struct.unpack_from("=I", index, 96)[0]


class FirstLook(sqlite3.Connection):
    """A connection that notes the log's state before its first checkpoint."""

    looks: list[tuple[int, int]]
    has_looked = False

    def execute(self, statement: str, arguments: Sequence[object] = ()) -> sqlite3.Cursor:  # type: ignore[override]
        if "wal_checkpoint" in statement and not self.has_looked:
            self.has_looked = True
            path = Path(super().execute("PRAGMA database_list").fetchone()[2])
            self.looks.append(read_log_index(path))
        return super().execute(statement, arguments)


class Writer:
    """A database whose log its own connection does not move, and its checkpoints."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.threads: set[str] = set()
        self.connection = self._connect()
        self.connection.execute("PRAGMA wal_autocheckpoint = 0")
        self.connection.execute("CREATE TABLE state (key BLOB PRIMARY KEY, value BLOB)")
        self.checkpoints = Checkpoints(self._note_thread, threading.Lock(), log_of(path))

    def write(self, commits: int) -> None:
        for _ in range(commits):
            row = os.urandom(32), os.urandom(ROW_BYTES)
            self.connection.execute("INSERT INTO state VALUES (?, ?)", row)
            self.checkpoints.note_commit()

    def log_bytes(self) -> int:
        return log_of(self.path).stat().st_size

    def _note_thread(self) -> sqlite3.Connection:
        self.threads.add(threading.current_thread().name)
        return self._connect()

    def _connect(self) -> sqlite3.Connection:
        connection = sqlite3.connect(self.path, isolation_level=None, check_same_thread=False)
        connection.execute("PRAGMA journal_mode = WAL")
        return connection


def test_a_thread_moves_the_log_which_then_begins_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fedcoin.data.storage.checkpoints.MAX_COMMITS", FIRST_COMMITS)
    writer = Writer(tmp_path / "chain.sqlite")
    writer.write(FIRST_COMMITS - 1)
    assert not writer.threads
    writer.write(1)
    writer.checkpoints.wait()
    assert writer.path.stat().st_size > FIRST_COMMITS * ROW_BYTES
    longest = writer.log_bytes()
    for _ in range(7):
        writer.write(FIRST_COMMITS)
        writer.checkpoints.wait()
    # Eight times as much was written, more or less.
    assert writer.log_bytes() < 4 * longest
    assert len(writer.threads) == 1
    assert threading.current_thread().name not in writer.threads
    writer.connection.close()


def test_a_reader_of_old_content_is_not_waited_for(tmp_path: Path) -> None:
    with Database.open(tmp_path / "chain.sqlite", {}) as database:
        reader = database.begin_read()
        for number in range(FIRST_COMMITS + 1):
            with database.write() as connection:
                connection.execute("INSERT INTO state VALUES (?, ?)", (b"%d" % number, b"value"))
        assert reader.execute("SELECT count(*) FROM state").fetchone() == (0,)
        reader.close()
        assert database.row("SELECT count(*) FROM state") == (FIRST_COMMITS + 1,)


@pytest.fixture
def looks(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, int]]:
    """How many pages the log has, and how many are in the file, as each checkpoint begins."""
    looks: list[tuple[int, int]] = []
    connect = sqlite3.connect

    def watched(path: Path, **options: object) -> sqlite3.Connection:
        looking = type("Looking", (FirstLook,), {"looks": looks})
        return connect(path, factory=looking, **options)  # type: ignore[call-overload, no-any-return]

    monkeypatch.setattr("fedcoin.data.storage.database.sqlite3.connect", watched)
    return looks


@pytest.fixture
def _short_logs(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("checkpoints", "database"):
        monkeypatch.setattr(f"fedcoin.data.storage.{module}.MAX_LOG_BYTES", LOG_BYTES)
    monkeypatch.setattr("fedcoin.data.storage.checkpoints.MAX_COMMITS", FIRST_COMMITS)


def put(database: Database, key: int, size: int = ROW_BYTES) -> None:
    with database.write() as connection:
        connection.execute("INSERT INTO state VALUES (?, zeroblob(?))", (b"%d" % key, size))


@pytest.mark.usefixtures("_short_logs")
def test_no_checkpoint_begins_while_a_commit_may_begin_the_log_anew(
    tmp_path: Path, looks: list[tuple[int, int]]
) -> None:
    # SQLite before 3.51.3 would mark pages as moved that are not.
    with Database.open(tmp_path / "chain.sqlite", {}) as database:
        for key in range(FIRST_COMMITS - 1):
            put(database, key)
        # The commit before a checkpoint is so large that SQLite would move the log by itself.
        put(database, FIRST_COMMITS, LOG_BYTES)
        database.finish_checkpoint()
        for _ in range(FIRST_COMMITS):
            # Commits that write nothing.
            with database.write() as connection:
                connection.execute("DELETE FROM state WHERE key = ?", (b"absent",))
        database.finish_checkpoint()
        put(database, MAX_COMMITS)
        for key in range(MIN_COMMITS):
            put(database, 2 * MAX_COMMITS + key, LOG_BYTES // MIN_COMMITS)
        database.finish_checkpoint()
    assert len(looks) >= 2
    for pages, moved in looks:
        assert moved < pages


@pytest.mark.usefixtures("_short_logs")
def test_a_log_of_large_commits_is_moved_before_its_time(tmp_path: Path) -> None:
    with Database.open(tmp_path / "chain.sqlite", {}) as database:
        for key in range(4 * MIN_COMMITS - 1):
            put(database, key, LOG_BYTES // 16)
        assert log_of(database.path).stat().st_size < 3 * LOG_BYTES
        database.finish_checkpoint()
        put(database, MAX_COMMITS)
        # Begun anew, it is cut.
        assert log_of(database.path).stat().st_size <= LOG_BYTES


def test_the_smaller_commits_are_the_more_of_them_come_before_a_checkpoint() -> None:
    assert choose_commits(32, 100) == 32 * CHECKPOINT_PAGES // 100
    assert choose_commits(32, CHECKPOINT_PAGES) == 32
    assert choose_commits(32, 0) == 32
    assert choose_commits(32, 1) == MAX_COMMITS
    assert choose_commits(32, 10**6) == MIN_COMMITS


def test_a_checkpoint_that_fails_is_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    def broken() -> sqlite3.Connection:
        raise sqlite3.OperationalError("disk I/O error")

    checkpoints = Checkpoints(broken, threading.Lock(), Path("missing-wal"))
    for _ in range(FIRST_COMMITS):
        checkpoints.note_commit()
    checkpoints.wait()
    assert "could not be moved into its file: disk I/O error" in caplog.text
