"""Points in every write to disk, at which a test can end the process or let the write fail.

A write passes its points in order; normally that costs a comparison. A test's program calls `watch`
with a function that ends the process at the one that the test names, and then starts the node again
as it is: what an earlier write acknowledged must be there.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum


class Failpoint(str, Enum):
    """A point in a write."""

    TRANSACTION_BEGUN = "transaction-begun"
    """The database holds the lock for a transaction, and nothing is written."""
    TRANSACTION_WRITTEN = "transaction-written"
    """All of a transaction is written, and it is not committed."""
    TRANSACTION_COMMITTED = "transaction-committed"
    """A transaction is committed, and its caller has not heard of it."""
    FILE_WRITTEN = "file-written"
    """The new content is in a file under a temporary name, perhaps not on disk."""
    FILE_SYNCED = "file-synced"
    """The new content is on disk, under the temporary name."""
    FILE_RENAMED = "file-renamed"
    """The file has its final name, which is perhaps not on disk."""
    FILE_DONE = "file-done"
    """Content and name are on disk, and the caller has not heard of it."""
    MARK_WRITTEN = "mark-written"
    """The mark of the latest vote is written over the one before."""
    CHUNK_WRITTEN = "chunk-written"
    """A chunk of an artifact or a part of a snapshot is appended to its incomplete file."""


Watcher = Callable[[Failpoint, str], None]
"""Called with the point, and with what is written: the kind of a transaction, or a file's name."""

_watchers: list[Watcher] = []


def watch(watcher: Watcher | None) -> None:
    """Have a function called at each point, in place of the one before.

    Args:
        watcher: The function, which runs in the thread that writes; None for none.
    """
    _watchers[:] = [] if watcher is None else [watcher]


def reach(point: Failpoint, subject: str) -> None:
    """Pass a point.

    Args:
        point: Which of the points in the write is reached.
        subject: What is written: the kind of a transaction, or a file's name.
    """
    if _watchers:
        _watchers[0](point, subject)
