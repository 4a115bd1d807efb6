"""What was seen lately, in bounded memory."""

from __future__ import annotations

from collections import OrderedDict


class RecentSet:
    """A set that forgets what was added or asked for longest ago."""

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._items: OrderedDict[bytes, None] = OrderedDict()

    def __len__(self) -> int:
        """How many are remembered."""
        return len(self._items)

    def __contains__(self, item: bytes) -> bool:
        if item not in self._items:
            return False
        self._items.move_to_end(item)
        return True

    def add(self, item: bytes) -> bool:
        """Remember it; True when it was not."""
        if item in self:
            return False
        self._items[item] = None
        if len(self._items) > self._capacity:
            self._items.popitem(last=False)
        return True

    def discard(self, item: bytes) -> None:
        """Forget it."""
        self._items.pop(item, None)

    def clear(self) -> None:
        """Forget all."""
        self._items.clear()
