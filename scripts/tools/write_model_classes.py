"""Write the tables of Keras classes and of tested models into docs/MODELS.md, or check them.

Usage: `python scripts/tools/write_model_classes.py [--check]`. With `--check` nothing is written,
and the exit status is 1 when the page would change.
"""

from __future__ import annotations

import sys
from pathlib import Path

from fedcoin.learning.model.keras_classes import ADVICE, CLASSES
from scripts.tools.model_counts import render_counts

PAGE = Path(__file__).resolve().parents[2] / "docs/MODELS.md"

BEGIN = "<!-- {}: written by `make model-classes` -->"
END = "<!-- end of the {} -->"


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
    begin, end = BEGIN.format(name), END.format(name)
    before, rest = text.split(begin)
    _, after = rest.split(end)
    return f"{before}{begin}\n\n{tables}\n\n{end}{after}"


def main() -> int:
    """Write or check the page.

    Returns:
        The exit status: 1 when `--check` finds another page than would be written.
    """
    text = PAGE.read_text(encoding="utf-8")
    updated = replace_section(text, "Keras classes", render_classes())
    updated = replace_section(updated, "models that are tested", render_counts())
    if "--check" in sys.argv[1:]:
        return int(updated != text)
    PAGE.write_text(updated, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
