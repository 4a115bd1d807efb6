"""Write the tables of Keras classes and of tested models into docs/MODELS.md, or check them.

Usage: `python scripts/tools/write_model_classes.py [--check]`. With `--check` nothing is written,
and the exit status is 1 when the page would change.
"""

from __future__ import annotations

import sys
from pathlib import Path

from fedcoin.learning.model.keras_classes import ADVICE, CLASSES
from scripts.tools.model_counts import render_counts
from scripts.tools.page_sections import PageSection, write_or_check

PAGE = Path(__file__).resolve().parents[2] / "docs/MODELS.md"


def render_classes() -> str:
    """Render the allowed and the refused classes as Markdown.

    Returns:
        Two tables.
    """
    lines = ["| module | classes that are taken |", "| --- | --- |"]
    lines += [f"| `{module}` | {', '.join(sorted(names))} |" for module, names in CLASSES.items()]
    lines += ["", "| class that is refused | why, and what to do |", "| --- | --- |"]
    lines += [f"| {name} | {advice} |" for name, advice in ADVICE.items()]
    return "\n".join(lines)


def replace_section(text: str, name: str, tables: str) -> str:
    """Replace what is between two comments.

    Args:
        text: The page.
        name: The section's name in its comments.
        tables: What comes between them.

    Returns:
        The page with the section.
    """
    begin, end = f"<!-- {name}: written by `make model-classes` -->", f"<!-- end of the {name} -->"
    return PageSection(begin, end).replace_in(text, tables)


def main() -> int:
    """Write or check the page.

    Returns:
        The exit status: 1 when `--check` finds another page than would be written.
    """
    text = PAGE.read_text(encoding="utf-8")
    updated = replace_section(text, "Keras classes", render_classes())
    updated = replace_section(updated, "models that are tested", render_counts())
    return write_or_check(PAGE, updated, is_check="--check" in sys.argv[1:])


if __name__ == "__main__":
    sys.exit(main())
