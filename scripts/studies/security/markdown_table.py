"""Tables in Markdown."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

Numbers = dict[str, Any]
"""The result of each job, by the job's name, as JSON holds it."""

Row = Mapping[str, Any]
"""One measured case: the measurement's fields by name."""

Cell = str | Callable[[Row], object]
"""A template that `str.format` fills with a row's fields, or a function of the row."""


@dataclass(frozen=True, slots=True)
class RowTable:
    """A table with one row for each measured case of some jobs."""

    jobs: str
    """How the names of these jobs begin. The field `job` of a row holds the rest of the name."""
    columns: Mapping[str, Cell]
    """The cells below each heading."""

    def render(self, numbers: Numbers) -> str:
        """Render the table.

        Args:
            numbers: The results of all jobs: one row each, or a list of rows.

        Returns:
            Lines of Markdown, without a newline at the end; two lines when none of the jobs ran.
        """
        rows = []
        for job, result in jobs_with_prefix(numbers, self.jobs):
            rows += [
                {"job": job, **row} for row in (result if isinstance(result, list) else [result])
            ]
        return render_table(
            list(self.columns),
            [[_fill(cell, row) for cell in self.columns.values()] for row in rows],
        )


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


def _fill(cell: Cell, row: Row) -> object:
    return cell.format_map(row) if isinstance(cell, str) else cell(row)
