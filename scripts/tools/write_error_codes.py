"""Write the list of error codes into docs/API.md, or check that it is up to date.

Usage: `python scripts/tools/write_error_codes.py [--check]`. A code is a member of the enum in a
layer's `errors.py`; the text below it says what happened and, after a blank line, what to do. The
gRPC status comes from `fedcoin/network/error_statuses.py`. With `--check` nothing is written, and
the exit status is 1 when the page would change.
"""

from __future__ import annotations

import ast
import sys
from dataclasses import dataclass
from pathlib import Path

from fedcoin.network.error_statuses import LAYERS, STATUS_OF
from scripts.tools.page_sections import PageSection, write_or_check

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs/API.md"
"""The page with the table."""

LIST = PageSection(
    "<!-- error codes: written by `make error-codes` -->", "<!-- end of the error codes -->"
)


@dataclass(frozen=True, slots=True)
class ErrorCode:
    """One row of the list."""

    name: str
    """The code, such as `NONCE_TOO_LOW`."""
    status: str
    """The gRPC status' name."""
    meaning: str
    """What happened, in a sentence."""
    action: str
    """What to do about it, in a sentence."""


def read_codes(layer: str) -> list[ErrorCode]:
    """Read the codes of a layer from its source.

    Args:
        layer: A package within `fedcoin` that has an `errors.py`.

    Returns:
        The codes, in the order of the enum.

    Raises:
        ValueError: A code has no text, or its text does not have two paragraphs.
    """
    tree = ast.parse((ROOT / f"fedcoin/{layer}/errors.py").read_text(encoding="utf-8"))
    codes = []
    for enum in tree.body:
        if not isinstance(enum, ast.ClassDef) or not enum.name.endswith("Code"):
            continue
        for member, text in zip(enum.body, [*enum.body[1:], None], strict=True):
            if isinstance(member, ast.Assign) and isinstance(member.targets[0], ast.Name):
                name = member.targets[0].id
                meaning, action = _paragraphs(f"{enum.name}.{name}", text)
                status = STATUS_OF[layer, name].name
                codes.append(ErrorCode(name, status, meaning, action))
    return codes


def render_codes() -> str:
    """Render the codes of all layers as Markdown.

    Returns:
        A heading and a table for each layer.
    """
    parts = []
    for layer in LAYERS:
        lines = [
            f"### Codes of `fedcoin.{layer}`",
            "",
            "| code | status | what happened | what to do |",
            "| --- | --- | --- | --- |",
        ]
        for code in read_codes(layer):
            cells = (f"`{code.name}`", f"`{code.status}`", code.meaning, code.action)
            lines.append(f"| {' | '.join(cells)} |")
        parts.append("\n".join(lines))
    return "\n\n".join(parts)


def _paragraphs(name: str, node: ast.stmt | None) -> tuple[str, str]:
    text = ""
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
        text = str(node.value.value)
    paragraphs = [" ".join(paragraph.split()) for paragraph in text.split("\n\n")]
    if len(paragraphs) != 2 or not all(paragraphs):
        raise ValueError(f"{name} needs a text of two paragraphs: what happened, and what to do")
    return paragraphs[0], paragraphs[1]


def main() -> int:
    """Write the page, or compare it.

    Returns:
        The exit status: 1 when `--check` finds another page than would be written.
    """
    updated = LIST.replace_in(PAGE.read_text(encoding="utf-8"), render_codes())
    return write_or_check(PAGE, updated, is_check="--check" in sys.argv[1:])


if __name__ == "__main__":
    sys.exit(main())
