"""Write the table of metrics into docs/OPERATIONS.md, or check that it is up to date.

Usage: `python scripts/tools/write_metrics_table.py [--check]`. With `--check` nothing is written,
and the exit status is 1 when the page would change.
"""

from __future__ import annotations

import sys
from pathlib import Path

from fedcoin.application.node.metrics.declarations import METRICS

PAGE = Path(__file__).resolve().parents[2] / "docs/OPERATIONS.md"

BEGIN = "<!-- metrics: written by `make metrics-table` -->"
END = "<!-- end of the metrics -->"


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
    text = PAGE.read_text(encoding="utf-8")
    before, rest = text.split(BEGIN)
    _, after = rest.split(END)
    updated = f"{before}{BEGIN}\n\n{render_metrics()}\n\n{END}{after}"
    if "--check" in sys.argv[1:]:
        return int(updated != text)
    PAGE.write_text(updated, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
