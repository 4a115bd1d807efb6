"""Write the table of metrics into docs/OPERATIONS.md, or check that it is up to date.

Usage: `python scripts/tools/write_metrics_table.py [--check]`. With `--check` nothing is written,
and the exit status is 1 when the page would change.
"""

from __future__ import annotations

import sys
from pathlib import Path

from fedcoin.application.node.metrics.declarations import METRICS
from scripts.tools.page_sections import PageSection, write_or_check

PAGE = Path(__file__).resolve().parents[2] / "docs/OPERATIONS.md"

TABLE = PageSection(
    "<!-- metrics: written by `make metrics-table` -->", "<!-- end of the metrics -->"
)


def render_metrics() -> str:
    """Render the metrics as Markdown.

    Returns:
        One table.
    """
    lines = ["| metric | kind | label | meaning |", "| --- | --- | --- | --- |"]
    for metric in METRICS:
        label = f"`{metric.label}`" if metric.label else ""
        lines.append(f"| `{metric.name}` | {metric.kind} | {label} | {metric.help} |")
    return "\n".join(lines)


def main() -> int:
    """Write or check the page.

    Returns:
        The exit status: 1 when `--check` finds another page than would be written.
    """
    updated = TABLE.replace_in(PAGE.read_text(encoding="utf-8"), render_metrics())
    return write_or_check(PAGE, updated, is_check="--check" in sys.argv[1:])


if __name__ == "__main__":
    sys.exit(main())
