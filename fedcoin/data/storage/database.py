"""One SQLite file, opened with distrust and written durably.

Two connections: one writes, the other reads, so that a read never waits for a commit to reach
the disk. In WAL mode with `synchronous=FULL` a commit that returned survives a kill and a
power cut, and one that did not return either happened wholly or not at all.

A file that is missing is made; one that is empty, truncated, garbage or not ours is refused
and left alone. A missing file and an empty one are different things: a validator that lost
its record of votes must not quietly begin anew.
"""

from __future__ import annotations

import contextlib
import sqlite3
import threading
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Final

from fedcoin.data.atomic_files import publish
from fedcoin.data.errors import DataCode, RefusalError
from fedcoin.data.storage.schema import APPLICATION_ID, SCHEMA_VERSION, TABLES, migrate, version_of

Row = tuple[Any, ...]

# Up to this size, all pages are read at every start; this takes a fraction of a second.
_CHECKED_BYTES: Final = 64 << 20
_MAGIC: Final = b"SQLite format 3\0"
_HEADER_BYTES: Final = 100
_BUSY_SECONDS: Final = 5.0


class Database:
    """A checked database file; usable from several threads."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._writer = _connect(path)
        self._reader = _connect(path)
        self._reader.execute("PRAGMA query_only = ON")
        self._write_lock = threading.RLock()
        self._read_lock = threading.Lock()

    @classmethod
    def open(cls, path: Path, meta: Mapping[str, bytes]) -> Database:
        """Open the file at `path`, or make it with these rows of `meta` when it is missing.

        Raises `Refusal`: BAD_STORE when the file is damaged or not ours, NEWER_STORE when a
        later version of the program wrote it. `OSError` and `sqlite3.OperationalError` are
        failures of the disk.
        """
        if not path.exists():
            _create(path, meta)
        _check_header(path)
        with _as_refusals(path):
            _check_content(path)
            return cls(path)

    def rows(self, statement: str, arguments: Sequence[object] = ()) -> list[Row]:
        """All rows that a query finds, as of the last commit."""
        with self._read_lock:
            return self._reader.execute(statement, arguments).fetchall()

    def row(self, statement: str, arguments: Sequence[object] = ()) -> Row | None:
        """The first row that a query finds, as of the last commit."""
        with self._read_lock:
            found: Row | None = self._reader.execute(statement, arguments).fetchone()
            return found

    def every(self, statement: str) -> Iterator[Row]:
        """All rows that a query finds, one after another: for more than fit into memory."""
        connection = _connect(self.path)
        try:
            yield from connection.execute(statement)
        finally:
            connection.close()

    def pin(self) -> sqlite3.Connection:
        """A connection that sees what is committed now, and nothing later, until it is closed.

        For any one thread at a time.
        """
        connection = _connect(self.path)
        connection.execute("PRAGMA query_only = ON")
        connection.execute("BEGIN")
        # What a transaction sees is fixed by its first read.
        connection.execute("SELECT count(*) FROM meta").fetchone()
        return connection

    @contextlib.contextmanager
    def write(self) -> Iterator[sqlite3.Connection]:
        """One write transaction: on disk when the block ends, undone when it raises."""
        with self._write_lock:
            self._writer.execute("BEGIN IMMEDIATE")
            try:
                yield self._writer
                self._writer.execute("COMMIT")
            except BaseException:
                # A COMMIT that failed, on a full disk say, may have ended the transaction.
                if self._writer.in_transaction:
                    self._writer.execute("ROLLBACK")
                raise

    def meta(self, name: str) -> bytes | None:
        """A value of the `meta` table."""
        row = self.row("SELECT value FROM meta WHERE name = ?", (name,))
        return None if row is None else bytes(row[0])

    def backup(self, path: Path) -> None:
        """Copy everything that is committed to a new file, while others write.

        Raises `FileExistsError` when there is something at `path`.
        """
        if path.exists():
            raise FileExistsError(f"{path} is there already; name a file that is not")
        part = path.with_name(path.name + ".part")
        part.unlink(missing_ok=True)
        source = _connect(self.path)
        try:
            target = sqlite3.connect(part)
            try:
                source.backup(target)
                # The copy must not depend on a log beside it.
                target.execute("PRAGMA journal_mode = DELETE")
            finally:
                target.close()
        finally:
            source.close()
        publish(part, path)

    def integrity_faults(self) -> list[str]:
        """Everything that SQLite's full check of all pages and indexes complains about."""
        found = [str(row[0]) for row in self.rows("PRAGMA integrity_check")]
        return [] if found == ["ok"] else found

    def __enter__(self) -> Database:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close both connections. The database must not be used after."""
        with self._write_lock, self._read_lock:
            self._reader.close()
            self._writer.close()


def _connect(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(
        path, timeout=_BUSY_SECONDS, isolation_level=None, check_same_thread=False
    )
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    return connection


def _create(path: Path, meta: Mapping[str, bytes]) -> None:
    for suffix in ("-wal", "-journal"):
        log = path.with_name(path.name + suffix)
        if log.exists():
            raise _refused(path, f"is missing but its log {log.name} is there: restore both")
    # Made aside and moved into place, so that no crash leaves a half-made file.
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
    publish(part, path)


def _check_header(path: Path) -> None:
    with path.open("rb") as file:
        header = file.read(_HEADER_BYTES)
    if len(header) < _HEADER_BYTES:
        raise _refused(path, f"is truncated: it has {len(header)} bytes")
    if not header.startswith(_MAGIC):
        raise _refused(path, "is not a database")
    # SQLite takes a page that was cut for one that ends in zeros. With a log beside the file
    # it may be right: the log has the page.
    page, size = int.from_bytes(header[16:18], "big"), path.stat().st_size
    log = path.with_name(path.name + "-wal")
    if page > 1 and size % page and not (log.exists() and log.stat().st_size):
        raise _refused(path, f"is truncated: its {size} bytes are not whole pages")


def _check_content(path: Path) -> None:
    connection = sqlite3.connect(path, timeout=_BUSY_SECONDS, isolation_level=None)
    try:
        found = connection.execute("PRAGMA application_id").fetchone()[0]
        if found != APPLICATION_ID:
            raise _refused(path, "is the database of some other program")
        version = version_of(connection)
        if version > SCHEMA_VERSION:
            raise RefusalError(
                DataCode.NEWER_STORE,
                f"{path} has schema version {version}; this program knows {SCHEMA_VERSION}: "
                "use the program that wrote it, or a later one",
                field="store",
                limit=str(SCHEMA_VERSION),
            )
        if path.stat().st_size <= _CHECKED_BYTES:
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
        "(a validator must then stay silent until it has caught up)"
    )
    return RefusalError(DataCode.BAD_STORE, f"{path} {what}; {advice}", field="store")
