"""Cut long tables into pages."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final, TypeVar

ROWS: Final = 100
"""How many rows a long table has on one page."""

T = TypeVar("T")


def count_pages(num_rows: int, page: int) -> tuple[int, int]:
    """Count the pages of a table.

    Args:
        num_rows: How many rows it has.
        page: The page that was asked for, from 1.

    Returns:
        How many pages there are, at least one, and the page to show: the last one when the table
        has fewer.
    """
    num_pages = max(1, math.ceil(num_rows / ROWS))
    return num_pages, min(max(page, 1), num_pages)


def cut_page(rows: Sequence[T], page: int) -> tuple[T, ...]:
    """Cut one page out of a table.

    Args:
        rows: All rows.
        page: The page, from 1.

    Returns:
        Its rows, at most `ROWS`.
    """
    return tuple(rows[(page - 1) * ROWS : page * ROWS])
