from __future__ import annotations

import os
import random
import sqlite3
import threading
import time
from pathlib import Path

import pytest

from fedcoin.data.errors import DataCode, RefusalError
from fedcoin.data.storage import database as database_module
from fedcoin.data.storage.database import Database

META = {"name": b"value"}


def refused(path: Path) -> RefusalError:
    before = {entry: entry.read_bytes() for entry in path.parent.iterdir()}
    with pytest.raises(RefusalError) as caught:
        Database.open(path, META)
    assert {entry: entry.read_bytes() for entry in path.parent.iterdir()} == before
    assert str(path) in caught.value.message
    return caught.value


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "chain.sqlite"


@pytest.fixture
def made(path: Path) -> Path:
    """A valid database of a few dozen pages."""
    with Database.open(path, META) as database, database.write() as connection:
        rows = [(os.urandom(32), os.urandom(300)) for _ in range(300)]
        connection.executemany("INSERT INTO state VALUES (?, ?)", rows)
    return path


def test_a_missing_file_is_made(path: Path) -> None:
    with Database.open(path, META) as database:
        assert database.meta("name") == b"value"
        assert database.meta("other") is None
        assert database.row("PRAGMA journal_mode") == ("wal",)
        assert database.row("PRAGMA synchronous") == (2,)
    assert os.listdir(path.parent) == ["chain.sqlite"]


def test_a_second_open_keeps_what_is_there(path: Path) -> None:
    Database.open(path, META).close()
    with Database.open(path, {"name": b"other"}) as database:
        assert database.meta("name") == b"value"


def test_a_missing_folder_is_no_refusal(tmp_path: Path) -> None:
    with pytest.raises((OSError, sqlite3.OperationalError)):
        Database.open(tmp_path / "nowhere" / "chain.sqlite", META)


def test_writes_are_whole_or_not_at_all(path: Path) -> None:
    with Database.open(path, META) as database:

        def fail_half_way() -> None:
            with database.write() as connection:
                connection.execute("INSERT INTO state VALUES (x'01', x'02')")
                raise RuntimeError

        with pytest.raises(RuntimeError):
            fail_half_way()
        assert database.rows("SELECT * FROM state") == []
        with database.write() as connection:
            connection.execute("INSERT INTO state VALUES (x'01', x'02')")
            assert database.rows("SELECT * FROM state") == []
        assert database.rows("SELECT * FROM state") == [(b"\1", b"\2")]


def test_a_write_waits_for_another_process_that_holds_the_lock(
    path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(database_module, "BUSY_SECONDS", 0.02)
    monkeypatch.setattr(database_module, "MAX_LOCKED_SECONDS", 0.5)
    with Database.open(path, META) as database:
        other = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        other.execute("BEGIN IMMEDIATE")
        release = threading.Timer(0.2, other.execute, ("ROLLBACK",))
        release.start()
        with database.write() as connection:
            connection.execute("INSERT INTO state VALUES (x'01', x'02')")
        release.join()
        assert "locked by another process" in caplog.text
        # Not for ever: a process that never lets go is a failure.
        other.execute("BEGIN IMMEDIATE")
        began = time.monotonic()
        with pytest.raises(sqlite3.OperationalError, match="locked"), database.write():
            pass
        assert 0.4 < time.monotonic() - began < 5
        other.close()


def test_readers_cannot_write(path: Path) -> None:
    with Database.open(path, META) as database, pytest.raises(sqlite3.OperationalError):
        database.rows("DELETE FROM meta")


@pytest.mark.parametrize("size", [0, 1, 15, 16, 99])
def test_files_cut_within_the_header(made: Path, size: int) -> None:
    made.write_bytes(made.read_bytes()[:size])
    refusal = refused(made)
    assert refusal.code is DataCode.BAD_STORE
    assert "truncated" in refusal.message
    assert "restore it from a backup" in refusal.message


@pytest.mark.parametrize("share", [0.01, 0.1, 0.3, 0.5, 0.9, 0.999])
def test_truncated_files(made: Path, share: float) -> None:
    raw = made.read_bytes()
    made.write_bytes(raw[: max(100, int(len(raw) * share))])
    assert refused(made).code is DataCode.BAD_STORE


def test_files_cut_at_any_page(made: Path) -> None:
    raw = made.read_bytes()
    for pages in range(1, len(raw) // 4096):
        made.write_bytes(raw[: pages * 4096])
        assert refused(made).code is DataCode.BAD_STORE


@pytest.mark.parametrize("content", [b"x" * 5_000, bytes(8_192), b"#!/bin/sh\n" * 100])
def test_garbage(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    refusal = refused(path)
    assert refusal.code is DataCode.BAD_STORE
    assert "not a database" in refusal.message


def test_garbage_behind_a_header(path: Path) -> None:
    path.write_bytes(b"SQLite format 3\0" + b"x" * 10_000)
    assert refused(path).code is DataCode.BAD_STORE


def test_overwritten_pages(made: Path) -> None:
    raw, random_ = made.read_bytes(), random.Random(1)
    for page in range(1, len(raw) // 4096):
        noise = random_.randbytes(4096)
        made.write_bytes(raw[: page * 4096] + noise + raw[(page + 1) * 4096 :])
        assert refused(made).code is DataCode.BAD_STORE


def test_another_programs_database(path: Path) -> None:
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE x (y)")
    connection.close()
    refusal = refused(path)
    assert refusal.code is DataCode.BAD_STORE
    assert "other program" in refusal.message


def test_a_newer_schema(made: Path) -> None:
    connection = sqlite3.connect(made)
    connection.execute("PRAGMA user_version = 99")
    connection.close()
    refusal = refused(made)
    assert refusal.code is DataCode.NEWER_STORE
    assert "99" in refusal.message


def test_a_table_that_is_gone(made: Path) -> None:
    connection = sqlite3.connect(made)
    connection.execute("DROP TABLE own_votes")
    connection.close()
    assert "own_votes" in refused(made).message


def test_a_log_without_its_file(path: Path) -> None:
    path.with_name("chain.sqlite-wal").write_bytes(b"x")
    refusal = refused(path)
    assert refusal.code is DataCode.BAD_STORE
    assert "chain.sqlite-wal" in refusal.message


def test_a_half_made_file_is_made_anew(path: Path) -> None:
    path.with_name("chain.sqlite.part").write_bytes(b"half")
    Database.open(path, META).close()
    assert os.listdir(path.parent) == ["chain.sqlite"]


def test_a_backup_is_whole(made: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy.sqlite"
    with Database.open(made, META) as database:
        with database.write() as connection:
            connection.execute("INSERT INTO state VALUES (x'00', x'01')")
        database.backup(copy)
        with pytest.raises(FileExistsError):
            database.backup(copy)
        assert database.integrity_faults() == []
    with Database.open(copy, META) as read:
        assert read.row("SELECT count(*) FROM state") == (301,)
        assert read.row("SELECT value FROM state WHERE key = x'00'") == (b"\1",)
    assert sorted(os.listdir(tmp_path)) == ["chain.sqlite", "copy.sqlite"]
