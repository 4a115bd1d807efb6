"""Tables in Markdown."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

Numbers = dict[str, Any]
"""The result of each job, by the job's name, as JSON holds it."""


def render_table(head: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """Render a table.

    Args:
        head: The columns' titles.
        rows: The cells, row by row.

    Returns:
        Lines of Markdown, without a newline at the end.
    """
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(str(cell) for cell in line) + " |" for line in lines)


def jobs_with_prefix(numbers: Numbers, prefix: str) -> list[tuple[str, Any]]:
    """Select the results of jobs by the beginning of their names.

    Args:
        numbers: All results.
        prefix: How the names begin.

    Returns:
        The rest of each name, and its result, in the order of `numbers`.
    """
    return [
        (name.removeprefix(prefix), result)
        for name, result in numbers.items()
        if name.startswith(prefix)
    ]
