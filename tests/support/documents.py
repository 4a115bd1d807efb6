"""The pages of the documentation as the tests in `tests/docs` read them."""

from __future__ import annotations

import re
from functools import cache

from tests.support.paths import ROOT

PAGES = sorted(
    path for pages in ("*.md", "docs/*.md", "docs/adr/*.md") for path in ROOT.glob(pages)
)
_FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_INLINE_CODE = re.compile(r"`([^`\n]+)`")
_LINK = re.compile(r"\[[^\]]+\]\(([^)\s]+)\)")


def read(name: str) -> str:
    """Return the text of a file, named from the root of the repository."""
    return (ROOT / name).read_text(encoding="utf-8")


@cache
def read_pages() -> dict[str, str]:
    """Return the text of each page by its path from the root of the repository."""
    return {str(page.relative_to(ROOT)): page.read_text(encoding="utf-8") for page in PAGES}


def remove_code_blocks(text: str) -> str:
    """Return a page without its code blocks."""
    return _FENCE.sub("", text)


def find_code_blocks(text: str, language: str) -> list[str]:
    """Return the bodies of the code blocks in this language."""
    return [body for kind, body in _FENCE.findall(text) if kind == language]


def find_inline_code(text: str) -> list[str]:
    """Return what stands between single backticks outside code blocks."""
    return _INLINE_CODE.findall(remove_code_blocks(text))


def find_links(text: str) -> list[str]:
    """Return the targets of the links outside code blocks."""
    return _LINK.findall(remove_code_blocks(text))


def find_anchors(text: str) -> set[str]:
    """Return the anchors of a page's headings, as forges derive them."""
    headings = re.findall(r"^#+ (.+)$", remove_code_blocks(text), re.MULTILINE)
    plain = [re.sub(r"[^\w\- ]", "", heading.lower()) for heading in headings]
    return {heading.replace(" ", "-") for heading in plain}


def table_rows(text: str, heading: str) -> list[list[str]]:
    """Return the rows below the head of the first table whose first column has this heading."""
    lines = iter(text.splitlines())
    for line in lines:
        if line.startswith(f"| {heading} |"):
            next(lines)
            break
    rows: list[list[str]] = []
    for line in lines:
        if not line.startswith("|"):
            return rows
        rows.append([cell.strip() for cell in line.strip("|").split(" | ")])
    return rows


def parse_number(cell: str) -> int:
    """Return the number in a cell that separates thousands by commas."""
    return int(cell.replace(",", ""))
