"""The state as a map from keys to bytes: readers of it, and overlays that collect changes."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Iterator, Mapping
from typing import Final, Protocol

_FEW_KEYS: Final = 16
"""The largest number of new keys that are inserted one by one; more are sorted at once."""


class StateReader(Protocol):
    """A source of entries of the state: the database, an overlay, or a dictionary."""

    def get(self, key: bytes) -> bytes | None:
        """Read an entry.

        Args:
            key: The entry's key.

        Returns:
            The value, or None when there is no such entry.
        """

    def scan(self, prefix: bytes) -> Iterator[tuple[bytes, bytes]]:
        """Read the entries whose keys begin with a prefix.

        Args:
            prefix: The first bytes of the keys.

        Returns:
            An iterator over keys and values, in rising order of keys.
        """


class Overlay:
    """Collects changes of a state that itself stays unchanged.

    Overlays can be stacked: the changes of one transaction lie on top of those of the block so
    far, and are dropped or merged as a whole.
    """

    __slots__ = ("_below", "_new_keys", "_read", "_sorted_keys", "_written")

    def __init__(self, below: StateReader) -> None:
        """Make an overlay without changes.

        Args:
            below: The state below the overlay.
        """
        self._below = below
        self._read: dict[bytes, bytes | None] = {}
        self._written: dict[bytes, bytes | None] = {}
        # The written keys, in rising order but for those that came since the last scan. So a scan
        # costs nothing for keys of other tables: a block may write 65,000 accounts, and then each
        # open task is scanned for its miners.
        self._sorted_keys: list[bytes] = []
        self._new_keys: list[bytes] = []

    def get(self, key: bytes) -> bytes | None:
        """Implement `StateReader.get` with the changes so far."""
        if key in self._written:
            return self._written[key]
        return self.before(key)

    def before(self, key: bytes) -> bytes | None:
        """Read an entry below this overlay, without its changes.

        Args:
            key: The entry's key.

        Returns:
            The value, or None when there is no such entry.
        """
        if key in self._read:
            return self._read[key]
        value = self._read[key] = self._below.get(key)
        return value

    def scan(self, prefix: bytes) -> Iterator[tuple[bytes, bytes]]:
        """Implement `StateReader.scan` with the changes so far."""
        written = self._written_below(prefix)
        if not written:
            yield from self._below.scan(prefix)
            return
        entries: dict[bytes, bytes | None] = dict(self._below.scan(prefix))
        entries.update(written)
        for key in sorted(entries):
            value = entries[key]
            if value is not None:
                yield key, value

    def put(self, key: bytes, value: bytes) -> None:
        """Write an entry.

        Args:
            key: The entry's key.
            value: The new value.
        """
        self._write(key, value)

    def delete(self, key: bytes) -> None:
        """Delete an entry if it exists.

        Args:
            key: The entry's key.
        """
        self._write(key, None)

    def merge(self, above: Overlay) -> None:
        """Add the changes of an overlay on top of this one to its own.

        Args:
            above: An overlay whose `below` is this one.
        """
        for key, value in above._written.items():
            self._write(key, value)

    def apply(self, changes: Mapping[bytes, bytes | None]) -> None:
        """Add changes, such as those of a block, to its own.

        Args:
            changes: New values by key; None for entries that are deleted.
        """
        for key, value in changes.items():
            self._write(key, value)

    def changes(self) -> dict[bytes, bytes | None]:
        """List the changes against the state below.

        Returns:
            New values by key; None for entries that are deleted.
        """
        return {key: value for key, value in self._written.items() if value != self.before(key)}

    def _write(self, key: bytes, value: bytes | None) -> None:
        if value is None and key in self._written and self.before(key) is None:
            # It came and went above, and would else slow down each later scan of its table.
            self._sort_new_keys()
            del self._sorted_keys[bisect_left(self._sorted_keys, key)]
            del self._written[key]
            return
        if key not in self._written:
            self._new_keys.append(key)
        self._written[key] = value

    def _written_below(self, prefix: bytes) -> dict[bytes, bytes | None]:
        """List the changes whose keys begin with a prefix."""
        self._sort_new_keys()
        found: dict[bytes, bytes | None] = {}
        for index in range(bisect_left(self._sorted_keys, prefix), len(self._sorted_keys)):
            key = self._sorted_keys[index]
            if not key.startswith(prefix):
                break
            found[key] = self._written[key]
        return found

    def _sort_new_keys(self) -> None:
        if len(self._new_keys) > _FEW_KEYS:
            self._sorted_keys += self._new_keys
            self._sorted_keys.sort()
        else:
            for key in self._new_keys:
                insort(self._sorted_keys, key)
        self._new_keys.clear()


class MemoryState:
    """A whole state in memory: for verification, tests and simulations."""

    def __init__(self, entries: Mapping[bytes, bytes] | None = None) -> None:
        """Make a state.

        Args:
            entries: Values by key; None for an empty state.
        """
        self._entries = dict(entries or {})
        self._keys = sorted(self._entries)

    def get(self, key: bytes) -> bytes | None:
        """Implement `StateReader.get`: read an entry."""
        return self._entries.get(key)

    def scan(self, prefix: bytes) -> Iterator[tuple[bytes, bytes]]:
        """Implement `StateReader.scan`: read the entries whose keys begin with a prefix."""
        for index in range(bisect_left(self._keys, prefix), len(self._keys)):
            key = self._keys[index]
            if not key.startswith(prefix):
                return
            yield key, self._entries[key]

    def apply(self, changes: Mapping[bytes, bytes | None]) -> None:
        """Apply the changes of a block, as the database does.

        Args:
            changes: New values by key; None for entries that are deleted.
        """
        for key, value in changes.items():
            known = key in self._entries
            if value is None:
                if known:
                    del self._entries[key]
                    del self._keys[bisect_left(self._keys, key)]
                continue
            if not known:
                insort(self._keys, key)
            self._entries[key] = value
