"""A read-only view of the state after one block, isolated from later writes."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from types import TracebackType

from fedcoin.data.storage.trusted_headers import SELECT_LAST_HEIGHT


class StateView:
    """The state after one block, read inside an SQLite read transaction.

    Later blocks do not change it. While it is open, SQLite cannot shrink the write-ahead log, so
    close it soon. One thread may use it at a time.
    """

    def __init__(self, connection: sqlite3.Connection) -> None:
        """Wrap a connection, which the view owns from now on.

        Args:
            connection: A connection inside a read transaction; closed with the view.
        """
        self._connection = connection
        self.height: int = connection.execute(SELECT_LAST_HEIGHT).fetchone()[0]
        """The height of the block that the state follows."""

    def sorted_entries(self, sort_key: Callable[[bytes], int]) -> Iterator[tuple[bytes, bytes]]:
        """Read all entries of the state in a chosen order.

        SQLite sorts the keys, on disk if necessary, so memory does not grow with the state.

        Args:
            sort_key: Gives the number that a key is sorted by; a pure function.

        Yields:
            Keys and values, by `sort_key(key)` and then by key.
        """
        self._connection.create_function("sort_key", 1, sort_key, deterministic=True)
        keys = self._connection.execute("SELECT key FROM state ORDER BY sort_key(key), key")
        for (key,) in keys:
            row = self._connection.execute("SELECT value FROM state WHERE key = ?", (key,))
            yield key, row.fetchone()[0]

    def close(self) -> None:
        """End the read transaction. The view must not be used afterwards."""
        self._connection.close()

    def __enter__(self) -> StateView:
        return self

    def __exit__(
        self,
        exception_type: type[BaseException] | None,
        exception: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()
