"""Maps and sets of bounded size that evict the least recently used entry.

For memories that only save work, such as results of checks and hashes of messages that were seen:
strangers decide what is put in, so they must not grow. Not safe to use from several threads.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import Generic, TypeVar

K = TypeVar("K")
V = TypeVar("V")


class LruDict(Generic[K, V]):
    """A map that holds at most `max_entries` entries.

    Storing or reading an entry marks it as used. Storing one too many evicts the entry that was
    used longest ago.
    """

    def __init__(self, max_entries: int) -> None:
        """Make an empty map.

        Args:
            max_entries: The largest number of entries, at least 1.
        """
        self._max_entries = max_entries
        self._entries: OrderedDict[K, V] = OrderedDict()

    def __len__(self) -> int:
        return len(self._entries)

    def __contains__(self, key: K) -> bool:
        return key in self._entries

    def get(self, key: K) -> V | None:
        """Look an entry up and mark it as used.

        Args:
            key: The key of the entry.

        Returns:
            The entry's value, or None when the map does not hold it.
        """
        if key not in self._entries:
            return None
        self._entries.move_to_end(key)
        return self._entries[key]

    def put(self, key: K, value: V) -> None:
        """Store an entry, replacing the one with the same key.

        Args:
            key: The key of the entry.
            value: The value to store.
        """
        self._entries[key] = value
        self._entries.move_to_end(key)
        if len(self._entries) > self._max_entries:
            self._entries.popitem(last=False)

    def get_or_create(self, key: K, create: Callable[[], V]) -> V:
        """Look an entry up, or create and store it; mark it as used.

        Args:
            key: The key of the entry.
            create: Makes the value when the map does not hold the key.

        Returns:
            The value that the map now holds under the key.
        """
        if key not in self._entries:
            self.put(key, create())
        self._entries.move_to_end(key)
        return self._entries[key]

    def values(self) -> list[V]:
        """List all values, the longest unused first, without marking them as used."""
        return list(self._entries.values())

    def items(self) -> list[tuple[K, V]]:
        """List all keys and values, the longest unused first, without marking them as used."""
        return list(self._entries.items())

    def discard(self, key: K) -> None:
        """Remove an entry if the map holds it.

        Args:
            key: The key of the entry.
        """
        self._entries.pop(key, None)

    def clear(self) -> None:
        """Remove all entries."""
        self._entries.clear()


class LruSet(Generic[K]):
    """A set that holds at most `max_entries` items.

    Adding an item or testing for it marks it as used. Adding one too many evicts the item that
    was used longest ago.
    """

    def __init__(self, max_entries: int) -> None:
        """Make an empty set.

        Args:
            max_entries: The largest number of items, at least 1.
        """
        self._max_entries = max_entries
        self._items: OrderedDict[K, None] = OrderedDict()

    def __len__(self) -> int:
        return len(self._items)

    def __contains__(self, item: K) -> bool:
        if item not in self._items:
            return False
        self._items.move_to_end(item)
        return True

    def add(self, item: K) -> bool:
        """Add an item and mark it as used.

        Args:
            item: The item to add.

        Returns:
            True when the set did not hold the item before.
        """
        if item in self._items:
            self._items.move_to_end(item)
            return False
        self._items[item] = None
        if len(self._items) > self._max_entries:
            self._items.popitem(last=False)
        return True

    def take(self, max_items: int) -> list[K]:
        """Remove items and return them.

        Args:
            max_items: The largest number of items to remove.

        Returns:
            The longest unused items, in this order.
        """
        count = min(max_items, len(self._items))
        return [self._items.popitem(last=False)[0] for _ in range(count)]

    def discard(self, item: K) -> None:
        """Remove an item if the set holds it.

        Args:
            item: The item to remove.
        """
        self._items.pop(item, None)

    def clear(self) -> None:
        """Remove all items."""
        self._items.clear()
