"""An SQLite file that is checked when it is opened and written durably.

One connection writes and another reads, so that a read never waits for a commit to reach the
disk. In WAL mode with `synchronous=FULL`, a commit that returned survives a kill and a power cut;
one that did not return took effect either completely or not at all.

A missing file is created. A file that is empty, truncated, damaged or not a FedCoin database is
refused and left alone: a validator that lost its record of votes must not start again as if it
had never voted.
"""

from __future__ import annotations

import contextlib
import logging
import sqlite3
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Final

from fedcoin.data.atomic_files import publish_file
from fedcoin.data.errors import DataCode, RefusalError
from fedcoin.data.failpoints import Failpoint, reach
from fedcoin.data.storage.checkpoints import MAX_LOG_BYTES, Checkpoints
from fedcoin.data.storage.schema import (
    APPLICATION_ID,
    SCHEMA_VERSION,
    TABLES,
    migrate,
    read_version,
)

Row = tuple[Any, ...]

_MAX_CHECKED_BYTES: Final = 64 << 20
"""Up to this file size, every start checks all pages, which takes a fraction of a second."""

_MAGIC: Final = b"SQLite format 3\0"
_HEADER_BYTES: Final = 100
BUSY_SECONDS: Final = 5.0
"""How long SQLite waits for a lock of another connection before it reports it."""
MAX_LOCKED_SECONDS: Final = 60.0
"""How long a write waits, all in all, for another process that holds the database's lock."""

_READER_CACHE_KIB: Final = 512
"""How many pages the reading connection keeps, in KiB: those that lead to all others. What it reads
further is in the system's memory, and would be in the process a second time."""

log = logging.getLogger(__name__)


class Database:
    """A checked database file; usable from several threads."""

    def __init__(self, path: Path) -> None:
        """Connect to a database that `open` has checked.

        Args:
            path: The database file.
        """
        self.path = path
        self._writer = _connect(path)
        self._reader = _connect(path)
        self._reader.execute("PRAGMA query_only = ON")
        self._reader.execute(f"PRAGMA cache_size = -{_READER_CACHE_KIB}")
        # Only one thread moves the log: SQLite's own way beside it may damage the file.
        self._writer.execute("PRAGMA wal_autocheckpoint = 0")
        self._writer.execute(f"PRAGMA journal_size_limit = {MAX_LOG_BYTES}")
        self._write_lock = threading.RLock()
        log_path = path.with_name(path.name + "-wal")
        self._checkpoints = Checkpoints(lambda: _connect(path), self._write_lock, log_path)
        self._read_lock = threading.Lock()

    @classmethod
    def open(cls, path: Path, meta: Mapping[str, bytes]) -> Database:
        """Open a database file, or create it when it is missing.

        Migrates a file that an earlier version of the program wrote. Failures of the disk raise
        `OSError` or `sqlite3.OperationalError`, and so do those of all other methods.

        Args:
            path: The database file.
            meta: Rows that a new file gets in its table `meta`.

        Returns:
            The open database.

        Raises:
            RefusalError: BAD_STORE when the file is damaged or is not a FedCoin database,
                NEWER_STORE when a later version of the program wrote it.
        """
        if not path.exists():
            _create(path, meta)
        _check_header(path)
        with _as_refusals(path):
            _check_content(path)
            return cls(path)

    def rows(self, statement: str, arguments: Sequence[object] = ()) -> list[Row]:
        """Read all rows that a query finds, as of the last commit.

        Args:
            statement: The query, in SQL.
            arguments: The values of its parameters.

        Returns:
            The rows, in the query's order.
        """
        with self._read_lock:
            return self._reader.execute(statement, arguments).fetchall()

    def row(self, statement: str, arguments: Sequence[object] = ()) -> Row | None:
        """Read the first row that a query finds, as of the last commit.

        Args:
            statement: The query, in SQL.
            arguments: The values of its parameters.

        Returns:
            The row, or None when the query finds none.
        """
        with self._read_lock:
            first: Row | None = self._reader.execute(statement, arguments).fetchone()
            return first

    def iterate_rows(self, statement: str) -> Iterator[Row]:
        """Read the rows that a query finds without holding all of them in memory.

        Args:
            statement: The query, in SQL, without parameters.

        Yields:
            The rows, in the query's order.
        """
        connection = _connect(self.path)
        try:
            yield from connection.execute(statement)
        finally:
            connection.close()

    def begin_read(self) -> sqlite3.Connection:
        """Start a read transaction on a connection of its own.

        Returns:
            A connection that sees what is committed now and nothing later, until it is closed.
            One thread may use it at a time.
        """
        connection = _connect(self.path)
        connection.execute("PRAGMA query_only = ON")
        connection.execute("BEGIN")
        # SQLite fixes what a transaction sees at its first read.
        connection.execute("SELECT count(*) FROM meta").fetchone()
        return connection

    @contextlib.contextmanager
    def write(self, subject: str = "other") -> Iterator[sqlite3.Connection]:
        """Hold a write transaction for the length of a `with` block.

        Waits for another process that holds the database's lock, such as a backup, for up to
        `MAX_LOCKED_SECONDS`; then and when the disk fails, raises `sqlite3.OperationalError`.

        Args:
            subject: What is written, for the failpoints.

        Yields:
            A connection to write with. What was written is on disk when the block ends, and
            rolled back when it raises.
        """
        self._checkpoints.hold_back()
        with self._write_lock:
            self._begin()
            changes = self._writer.total_changes
            try:
                reach(Failpoint.TRANSACTION_BEGUN, subject)
                yield self._writer
                reach(Failpoint.TRANSACTION_WRITTEN, subject)
                self._writer.execute("COMMIT")
                reach(Failpoint.TRANSACTION_COMMITTED, subject)
            except BaseException:
                # A COMMIT that failed, for example on a full disk, may have ended the transaction.
                if self._writer.in_transaction:
                    self._writer.execute("ROLLBACK")
                raise
            if self._writer.total_changes > changes:
                self._checkpoints.note_commit()

    def _begin(self) -> None:
        deadline = time.monotonic() + MAX_LOCKED_SECONDS
        while True:
            try:
                self._writer.execute("BEGIN IMMEDIATE")
                return
            except sqlite3.OperationalError as error:
                # Python 3.10 has no error codes; this is SQLite's text for SQLITE_BUSY.
                if str(error) != "database is locked" or time.monotonic() >= deadline:
                    raise
                log.warning("%s is locked by another process; this write waits for it", self.path)

    def meta(self, name: str) -> bytes | None:
        """Read a value of the table `meta`.

        Args:
            name: The name of the row.

        Returns:
            The value, or None when there is no such row.
        """
        row = self.row("SELECT value FROM meta WHERE name = ?", (name,))
        return None if row is None else bytes(row[0])

    def backup(self, path: Path) -> None:
        """Copy everything that is committed to a new file, while other threads write.

        Args:
            path: The file to create.

        Raises:
            FileExistsError: When `path` exists.
        """
        if path.exists():
            raise FileExistsError(f"{path} exists already; name a file that does not exist")
        part = path.with_name(path.name + ".part")
        part.unlink(missing_ok=True)
        source = _connect(self.path)
        try:
            target = sqlite3.connect(part)
            try:
                source.backup(target)
                # The copy must be complete without a log file beside it.
                target.execute("PRAGMA journal_mode = DELETE")
            finally:
                target.close()
        finally:
            source.close()
        publish_file(part, path)

    def integrity_faults(self) -> list[str]:
        """Run SQLite's full check of all pages and indexes. Slow on large files.

        Returns:
            One sentence for each fault; an empty list for a sound file.
        """
        faults = [str(row[0]) for row in self.rows("PRAGMA integrity_check")]
        return [] if faults == ["ok"] else faults

    def __enter__(self) -> Database:
        return self

    def __exit__(
        self,
        exception_type: type[BaseException] | None,
        exception: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def finish_checkpoint(self) -> None:
        """Wait until the write-ahead log is moved into the file, if that has begun."""
        self._checkpoints.wait()

    def close(self) -> None:
        """Close all connections. The database must not be used afterwards."""
        # It needs the lock to end.
        self.finish_checkpoint()
        with self._write_lock, self._read_lock:
            self._reader.close()
            self._writer.close()


def _connect(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(
        path, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False
    )
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    return connection


def _create(path: Path, meta: Mapping[str, bytes]) -> None:
    for suffix in ("-wal", "-journal"):
        log = path.with_name(path.name + suffix)
        if log.exists():
            raise _refused(path, f"is missing, but its log {log.name} exists: restore both")
    # Created under another name and renamed, so that no crash leaves an incomplete file.
    part = path.with_name(path.name + ".part")
    part.unlink(missing_ok=True)
    connection = sqlite3.connect(part, isolation_level=None)
    try:
        migrate(connection)
        connection.execute("BEGIN")
        connection.executemany("INSERT INTO meta VALUES (?, ?)", list(meta.items()))
        connection.execute("COMMIT")
    finally:
        connection.close()
    publish_file(part, path)


def _check_header(path: Path) -> None:
    with path.open("rb") as file:
        header = file.read(_HEADER_BYTES)
    if len(header) < _HEADER_BYTES:
        raise _refused(path, f"is truncated: it has {len(header)} bytes")
    if not header.startswith(_MAGIC):
        raise _refused(path, "is not a database")
    # SQLite reads a truncated page as if it ended in zeros. When a log lies beside the file, the
    # log may hold the whole page, and the file is not refused.
    page, size = int.from_bytes(header[16:18], "big"), path.stat().st_size
    log = path.with_name(path.name + "-wal")
    if page > 1 and size % page and not (log.exists() and log.stat().st_size):
        raise _refused(path, f"is truncated: its {size} bytes are not a whole number of pages")


def _check_content(path: Path) -> None:
    connection = sqlite3.connect(path, timeout=BUSY_SECONDS, isolation_level=None)
    try:
        application_id = connection.execute("PRAGMA application_id").fetchone()[0]
        if application_id != APPLICATION_ID:
            raise _refused(path, "is the database of another program")
        version = read_version(connection)
        if version > SCHEMA_VERSION:
            raise RefusalError(
                DataCode.NEWER_STORE,
                f"{path} has schema version {version}; this program knows versions up to "
                f"{SCHEMA_VERSION}: use the program that wrote it, or a later one",
                field="store",
                limit=str(SCHEMA_VERSION),
            )
        if path.stat().st_size <= _MAX_CHECKED_BYTES:
            faults = connection.execute("PRAGMA quick_check(1)").fetchall()
            if faults != [("ok",)]:
                raise _refused(path, f"is damaged ({str(faults[0][0]).splitlines()[0]})")
        migrate(connection)
        tables = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
        missing = TABLES.difference(name for (name,) in tables.fetchall())
        if missing:
            raise _refused(path, f"lacks the table {sorted(missing)[0]!r}")
    finally:
        connection.close()


@contextlib.contextmanager
def _as_refusals(path: Path) -> Iterator[None]:
    try:
        yield
    except sqlite3.OperationalError:
        raise
    except sqlite3.DatabaseError as error:
        raise _refused(path, f"is damaged ({error})") from error


def _refused(path: Path, what: str) -> RefusalError:
    advice = (
        "restore it from a backup, or move it and its -wal file away to fetch the chain again "
        "(a validator must not vote until it has caught up)"
    )
    return RefusalError(DataCode.BAD_STORE, f"{path} {what}; {advice}", field="store")
