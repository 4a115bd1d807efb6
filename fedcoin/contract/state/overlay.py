"""The state as a map from keys to bytes: what is read, and what is laid over it."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Iterator, Mapping
from typing import Protocol


class StateReader(Protocol):
    """Where the state after the latest block is read from: the store, or a dictionary."""

    def get(self, key: bytes) -> bytes | None:
        """The value of a key, or None."""

    def scan(self, prefix: bytes) -> Iterator[tuple[bytes, bytes]]:
        """All keys that begin with `prefix`, with their values, in rising order."""


class Overlay:
    """Writes laid over a reader that itself stays as it is.

    An overlay can lie over another one: what an action did is laid over what the block did so
    far, and is dropped or absorbed as a whole.
    """

    __slots__ = ("_below", "_read", "_written")

    def __init__(self, below: StateReader) -> None:
        self._below = below
        self._read: dict[bytes, bytes | None] = {}
        self._written: dict[bytes, bytes | None] = {}

    def get(self, key: bytes) -> bytes | None:
        """The value of a key, or None."""
        if key in self._written:
            return self._written[key]
        return self.before(key)

    def before(self, key: bytes) -> bytes | None:
        """The value that a key has below this overlay, or None."""
        if key in self._read:
            return self._read[key]
        value = self._read[key] = self._below.get(key)
        return value

    def scan(self, prefix: bytes) -> Iterator[tuple[bytes, bytes]]:
        """All keys that begin with `prefix`, with their values, in rising order."""
        written = {key: self._written[key] for key in self._written if key.startswith(prefix)}
        if not written:
            yield from self._below.scan(prefix)
            return
        found: dict[bytes, bytes | None] = dict(self._below.scan(prefix))
        found.update(written)
        for key in sorted(found):
            value = found[key]
            if value is not None:
                yield key, value

    def put(self, key: bytes, value: bytes) -> None:
        """Set a key."""
        self._written[key] = value

    def delete(self, key: bytes) -> None:
        """Remove a key; nothing happens when there is none."""
        self._written[key] = None

    def absorb(self, above: Overlay) -> None:
        """Take over what was written in an overlay that lies over this one."""
        self._written.update(above._written)

    def changes(self) -> dict[bytes, bytes | None]:
        """What differs from below: new values by key, None for keys that are gone."""
        return {key: value for key, value in self._written.items() if value != self.before(key)}


class MemoryState:
    """A whole state in memory, for tests and simulations."""

    def __init__(self, entries: Mapping[bytes, bytes] | None = None) -> None:
        self._entries = dict(entries or {})
        self._keys = sorted(self._entries)

    def get(self, key: bytes) -> bytes | None:
        """The value of a key, or None."""
        return self._entries.get(key)

    def scan(self, prefix: bytes) -> Iterator[tuple[bytes, bytes]]:
        """All keys that begin with `prefix`, with their values, in rising order."""
        for place in range(bisect_left(self._keys, prefix), len(self._keys)):
            key = self._keys[place]
            if not key.startswith(prefix):
                return
            yield key, self._entries[key]

    def apply(self, changes: Mapping[bytes, bytes | None]) -> None:
        """Set and remove keys, as a store does when a block is appended."""
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
