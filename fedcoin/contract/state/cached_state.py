"""The state after the latest block, whatever the database says while the next one is written.

Between two blocks the same accounts are read when their transactions arrive, when a block is built
or checked, and when it is final: small entries are kept in memory. A block is written in a thread,
and what is read meanwhile must not come half from the block before it: entries that it changes are
held in memory until it is the latest one.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping
from itertools import chain, islice
from threading import Lock
from typing import Final

from fedcoin.contract.state.overlay import MemoryState, StateReader

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

    Implements `StateReader`. `hold` must be called before the state below gets the changes of some
    blocks, and `apply` with the changes of each of them, once it has them.
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
        self._held: dict[bytes, bytes | None] = {}
        self._version = 0
        self._lock = Lock()

    def get(self, key: bytes) -> bytes | None:
        """Implement `StateReader.get`: read an entry, from memory if it is there."""
        try:
            return self._values[key]
        except KeyError:
            pass
        version, held = self._version, self._held
        if key in held:
            return held[key]
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
        """Implement `StateReader.scan`: read entries from the state below, or held ones."""
        held = self._held
        keys = list(held)
        first = bisect_left(keys, prefix)
        if first == len(keys) or not keys[first].startswith(prefix):
            return self._below.scan(prefix)
        entries: dict[bytes, bytes | None] = dict(self._below.scan(prefix))
        entries.update((key, held[key]) for key in keys[first:] if key.startswith(prefix))
        return ((key, value) for key in sorted(entries) if (value := entries[key]) is not None)

    def hold(self, keys: Iterable[bytes]) -> None:
        """Go on showing some entries as they are, until `apply`.

        Args:
            keys: The keys of all entries that are about to change in the state below.
        """
        # In order, so that a scan finds its part.
        held = {key: self.get(key) for key in sorted(keys)}
        with self._lock:
            # A read that began before may show an entry as it will be, and must not keep it.
            self._version += 1
            self._held = held

    def detach(self) -> None:
        """Go on showing the whole state as it is, whatever the state below becomes."""
        self._below = MemoryState(dict(self._below.scan(b"")))

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
            self._held = {}
