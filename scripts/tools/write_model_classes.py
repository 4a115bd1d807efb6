"""Write the tables of Keras classes into docs/MODELS.md, or check that they are up to date.

Usage: `python scripts/tools/write_model_classes.py [--check]`. With `--check` nothing is written,
and the exit status is 1 when the page would change.
"""

from __future__ import annotations

import sys
from pathlib import Path

from fedcoin.learning.model.keras_classes import ADVICE, CLASSES

PAGE = Path(__file__).resolve().parents[2] / "docs/MODELS.md"

BEGIN = "<!-- Keras classes: written by `make model-classes` -->"
END = "<!-- end of the Keras classes -->"


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


def main() -> int:
    """Write or check the page.

    Returns:
        The exit status: 1 when `--check` finds another page than would be written.
    """
    text = PAGE.read_text(encoding="utf-8")
    before, rest = text.split(BEGIN)
    _, after = rest.split(END)
    updated = f"{before}{BEGIN}\n\n{render_classes()}\n\n{END}{after}"
    if "--check" in sys.argv[1:]:
        return int(updated != text)
    PAGE.write_text(updated, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
