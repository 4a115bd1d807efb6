"""The state after one block, read at leisure while the store goes on."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from types import TracebackType

from fedcoin.data.storage.trusted_headers import LAST_HEIGHT


class StateView:
    """A view that later blocks do not change. Close it: the database's log grows until then.

    For any one thread at a time.
    """

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self.height: int = connection.execute(LAST_HEIGHT).fetchone()[0]

    def ordered(self, place: Callable[[bytes], int]) -> Iterator[tuple[bytes, bytes]]:
        """All keys and values, by ``place(key)`` and then by key.

        Sorted on disk where need be: memory does not grow with the state.
        """
        self._connection.create_function("place", 1, place, deterministic=True)
        keys = self._connection.execute("SELECT key FROM state ORDER BY place(key), key")
        for (key,) in keys:
            row = self._connection.execute("SELECT value FROM state WHERE key = ?", (key,))
            yield key, row.fetchone()[0]

    def close(self) -> None:
        """Let the view go."""
        self._connection.close()

    def __enter__(self) -> StateView:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()
