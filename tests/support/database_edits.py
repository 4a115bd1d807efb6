"""Changes to a database behind the program's back, as a damaged disk or a person makes them."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path


@contextmanager
def editing(path: Path) -> Iterator[sqlite3.Connection]:
    """Open a connection of its own to a database; what it writes is committed at the end."""
    with closing(sqlite3.connect(path)) as connection, connection:
        yield connection
