"""Write counts of things in English: `1 client`, `2 clients`."""

from __future__ import annotations


def format_count(count: int, noun: str, plural: str = "") -> str:
    """Format a count and a noun, in the plural unless the count is one.

    Args:
        count: How many there are.
        noun: The noun in the singular.
        plural: Its plural; by default the noun with an `s`.

    Returns:
        For example `1 client`, `0 clients` or `1,022 coalitions`.
    """
    return f"{count:,} {noun if count == 1 else plural or noun + 's'}"
