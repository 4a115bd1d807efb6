"""A memory of small entries of the state, so that an account is not read from disk again and again.

Between two blocks the same accounts are read when their transactions arrive, when a block is built
or checked, and when it is final.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import chain, islice
from threading import Lock
from typing import Final

from fedcoin.contract.state.overlay import StateReader

_MAX_ENTRIES: Final = 32_768
_MAX_BYTES: Final = 128
"""Longer values are not kept: accounts are shorter, and a task's terms may have megabytes."""

_MAX_SCANS: Final = 64
_MAX_SCANNED: Final = 512
_MAX_SCANNED_BYTES: Final = 65_536
"""Longer scans are not remembered."""


class ScanMemory:
    """Remembers the entries below short prefixes of a state that does not change meanwhile.

    Each block looks for due bonds, campaigns and tasks, of which there are few or none.
    """

    def __init__(self, below: StateReader) -> None:
        """Begin with nothing in memory.

        Args:
            below: The state; it must not change while this is used.
        """
        self._below = below
        self._scans: dict[bytes, list[tuple[bytes, bytes]]] = {}

    def get(self, key: bytes) -> bytes | None:
        """Implement `StateReader.get`: read an entry from the state below."""
        return self._below.get(key)

    def scan(self, prefix: bytes) -> Iterator[tuple[bytes, bytes]]:
        """Implement `StateReader.scan`: read entries, from memory if they are there."""
        known = self._scans.get(prefix)
        if known is not None:
            return iter(known)
        source = self._below.scan(prefix)
        first = list(islice(source, _MAX_SCANNED))
        size = sum(len(value) for _, value in first)
        if (
            len(first) < _MAX_SCANNED
            and size <= _MAX_SCANNED_BYTES
            and len(self._scans) < _MAX_SCANS
        ):
            self._scans[prefix] = first
        return chain(first, source)


class CachedState:
    """Reads the state after the latest block; usable from several threads.

    Implements `StateReader`. `apply` must be called with the changes of each block, once the state
    below has them.
    """

    def __init__(self, below: StateReader, max_entries: int = _MAX_ENTRIES) -> None:
        """Begin with nothing in memory.

        Args:
            below: The state, such as the database's.
            max_entries: The largest number of entries in memory.
        """
        self._below = below
        self._max_entries = max_entries
        self._values: dict[bytes, bytes | None] = {}
        self._version = 0
        self._lock = Lock()

    def get(self, key: bytes) -> bytes | None:
        """Implement `StateReader.get`: read an entry, from memory if it is there."""
        try:
            return self._values[key]
        except KeyError:
            pass
        version = self._version
        value = self._below.get(key)
        if value is None or len(value) <= _MAX_BYTES:
            with self._lock:
                # What was read before a block must not be kept after it.
                if version == self._version:
                    if len(self._values) >= self._max_entries:
                        self._values.clear()
                    self._values[key] = value
        return value

    def scan(self, prefix: bytes) -> Iterator[tuple[bytes, bytes]]:
        """Implement `StateReader.scan`: read entries from the state below."""
        return self._below.scan(prefix)

    def apply(self, changes: Mapping[bytes, bytes | None]) -> None:
        """Follow a block.

        Args:
            changes: New values by key; None for entries that are deleted.
        """
        with self._lock:
            self._version += 1
            if len(self._values) + len(changes) > self._max_entries:
                self._values.clear()
            for key, value in changes.items():
                if value is None or len(value) <= _MAX_BYTES:
                    self._values[key] = value
                else:
                    self._values.pop(key, None)
