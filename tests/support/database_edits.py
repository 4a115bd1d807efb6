"""Edit a database file without the program, as a damaged disk or an operator with SQLite does."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path


@contextmanager
def editing(path: Path) -> Iterator[sqlite3.Connection]:
    """Open a separate connection to a database; its changes are committed on leaving."""
    with closing(sqlite3.connect(path)) as connection, connection:
        yield connection
