"""A page of a list, and where the next page begins."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

from fedcoin.data.storage.block_index import IndexEntry, Location

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """A page of a list."""

    items: list[T]
    """What was asked for, in the list's order."""
    locations: list[Location]
    """The location of each item."""
    next: Location | None
    """What to pass as `before` to get the next page; None on the last page."""


def make_page(entries: list[IndexEntry], limit: int, view: Callable[[bytes], T | None]) -> Page[T]:
    """Make a page of index entries.

    Args:
        entries: Up to `limit` + 1 entries; one more than `limit` says that another page follows.
        limit: The largest number of items on the page.
        view: Reads the item of an id, 32 bytes; None leaves it out.

    Returns:
        At most `limit` items with their locations, and where the next page begins.
    """
    shown = entries[:limit]
    views = [(view(entry.id), entry.location) for entry in shown]
    known = [(item, location) for item, location in views if item is not None]
    following = shown[-1].location if len(entries) > limit and shown else None
    return Page([item for item, _ in known], [location for _, location in known], following)
