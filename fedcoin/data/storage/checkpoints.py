"""Move what is in a database's log (WAL) into the database file, while others write.

SQLite does so by itself within the commit that makes the log long: every thousand pages, one commit
waits until all of them are in the file and on disk, for tens of milliseconds, and so would a vote.
Here a thread does it with a connection of its own, for which no writer waits unless the log grows
faster than that.

SQLite before 3.51.3 damages a file when a checkpoint begins while all pages are moved already and a
commit begins the log anew at the same moment: the checkpoint marks pages as moved that are not. So
all others are kept from checkpoints, and one begins without the lock only after a commit that wrote
something, whose pages nobody has moved.
"""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import wait as wait_for
from contextlib import AbstractContextManager, closing, suppress
from pathlib import Path
from typing import Final

log = logging.getLogger(__name__)

CHECKPOINT_PAGES: Final = 1_000
"""About how many pages are in the log when a thread moves them into the file: 4 MB."""
MAX_LOG_BYTES: Final = 16 * 1024 * 1024
"""A log that is longer is moved soon, however few commits wrote it, and writers wait for that. Such
a file is cut to this length when the log begins anew."""

FIRST_COMMITS, MIN_COMMITS, MAX_COMMITS = 32, 8, 1_000
"""After how many commits the first checkpoint begins, and after how many others may begin."""

_PASSES: Final = 4
_CHECKPOINT: Final = "PRAGMA wal_checkpoint(PASSIVE)"
_THREAD: Final = ThreadPoolExecutor(1, thread_name_prefix="checkpoints")


class Checkpoints:
    """Keeps the log of one database short. The database calls it from one thread at a time.

    Args:
        connect: Opens a connection to the database.
        write_lock: Held while somebody writes.
        log_path: The database's log.
    """

    def __init__(
        self,
        connect: Callable[[], sqlite3.Connection],
        write_lock: AbstractContextManager[object],
        log_path: Path,
    ) -> None:
        self._connect = connect
        self._log_path = log_path
        self._write_lock = write_lock
        self._running: Future[tuple[int, int]] | None = None
        self._commits = 0
        # How many pages the log had when the last checkpoint was over.
        self._pages = 0
        # SQLite does not tell a writer how long the log is; a checkpoint tells it.
        self._wanted_commits = FIRST_COMMITS

    def note_commit(self) -> None:
        """Count a commit that wrote something, and start a checkpoint if it is time for one.

        Call it while the lock of that commit is held.
        """
        self._commits += 1
        if self.is_running or self._commits < MIN_COMMITS:
            return
        if self._commits < self._wanted_commits and not self._is_long():
            return
        self.wait()
        self._running = _THREAD.submit(self._move_pages)
        self._commits = 0

    @property
    def is_running(self) -> bool:
        """Whether a thread moves pages into the file now."""
        return self._running is not None and not self._running.done()

    def hold_back(self) -> None:
        """Wait for a checkpoint that cannot keep up with the writers, if one runs.

        Call it without the lock.
        """
        running = self._running
        if running is not None and not running.done() and self._is_long():
            wait_for([running])

    def _is_long(self) -> bool:
        with suppress(OSError):
            return self._log_path.stat().st_size > MAX_LOG_BYTES
        return False

    def wait(self) -> None:
        """Wait until no checkpoint runs, and learn from the last one when the next is due.

        Call it without the lock, unless none is running.
        """
        if self._running is None:
            return
        (first, last), self._running = self._running.result(), None
        # Its pages stay until a commit finds all of them moved, and writes the log from its start.
        new = first - self._pages if first > self._pages else first
        self._pages = last
        self._wanted_commits = choose_commits(self._wanted_commits, new)

    def _move_pages(self) -> tuple[int, int]:
        """Move all pages into the file, so that the next commit writes the log from its start.

        Returns:
            How many pages the log had at first, and at last; 0 when it is not known.
        """
        first = last = 0
        try:
            with closing(self._connect()) as connection:
                for _ in range(_PASSES):
                    # Each one begins while pages are left to move; see the head of this file.
                    _, last, moved = connection.execute(_CHECKPOINT).fetchone()
                    first = first or last
                    # Others may have written meanwhile, or read what was there before.
                    if moved == last:
                        break
                # What is being written now would keep the log from starting anew.
                with self._write_lock:
                    _, last, _ = connection.execute(_CHECKPOINT).fetchone()
        except sqlite3.Error as error:
            # Nothing is lost: it stays in the log, and the next commit meets the same disk.
            log.warning("the database's log could not be moved into its file: %s", error)
        return max(0, first), max(0, last)


def choose_commits(commits: int, pages: int) -> int:
    """Choose after how many commits the log has about `CHECKPOINT_PAGES` pages.

    Args:
        commits: After how many commits the last checkpoint began.
        pages: How many pages they had written; 0 when it is not known.

    Returns:
        The number of commits, from `MIN_COMMITS` to `MAX_COMMITS`.
    """
    if not pages:
        return commits
    return min(max(MIN_COMMITS, commits * CHECKPOINT_PAGES // pages), MAX_COMMITS)
