from __future__ import annotations

import os
import sqlite3
import threading
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


class Writer:
    """A database whose log its own connection does not move, and its checkpoints."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.threads: set[str] = set()
        self.connection = self._connect()
        self.connection.execute("PRAGMA wal_autocheckpoint = 0")
        self.connection.execute("CREATE TABLE state (key BLOB PRIMARY KEY, value BLOB)")
        self.checkpoints = Checkpoints(self._note_thread, threading.Lock())

    def write(self, commits: int) -> None:
        for _ in range(commits):
            row = os.urandom(32), os.urandom(ROW_BYTES)
            self.connection.execute("INSERT INTO state VALUES (?, ?)", row)
            self.checkpoints.note_commit()

    def log_bytes(self) -> int:
        return self.path.with_name(self.path.name + "-wal").stat().st_size

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


def test_the_smaller_commits_are_the_more_of_them_come_before_a_checkpoint() -> None:
    assert choose_commits(32, 100) == 32 * CHECKPOINT_PAGES // 100
    assert choose_commits(32, CHECKPOINT_PAGES) == 32
    assert choose_commits(32, 0) == 32
    assert choose_commits(32, 1) == MAX_COMMITS
    assert choose_commits(32, 10**6) == MIN_COMMITS


def test_a_checkpoint_that_fails_is_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    def broken() -> sqlite3.Connection:
        raise sqlite3.OperationalError("disk I/O error")

    checkpoints = Checkpoints(broken, threading.Lock())
    for _ in range(FIRST_COMMITS):
        checkpoints.note_commit()
    checkpoints.wait()
    assert "could not be moved into its file: disk I/O error" in caplog.text
