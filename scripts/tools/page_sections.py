"""The parts of the pages in docs/ that programs write: each is between two comments."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class PageSection:
    """A part of a page that a program writes."""

    begin: str
    """The comment before it."""
    end: str
    """The comment after it."""

    def replace_in(self, page: str, content: str) -> str:
        """Replace the section's content in the text of a page.

        Args:
            page: The page, in Markdown.
            content: The new content, in Markdown; blank lines come before and after it.

        Returns:
            The page with the new content.

        Raises:
            ValueError: The page does not have each of the two comments once, in this order.
        """
        before, rest = page.split(self.begin)
        _, after = rest.split(self.end)
        return f"{before}{self.begin}\n\n{content.strip()}\n\n{self.end}{after}"


def write_or_check(path: Path, page: str, *, is_check: bool) -> int:
    """Write a page, or only tell whether the file holds it.

    Args:
        path: The file of the page.
        page: The page as it should be.
        is_check: Whether nothing is written.

    Returns:
        The exit status: 1 when `is_check` is true and the file holds another page, else 0.
    """
    if not is_check:
        path.write_text(page, encoding="utf-8")
    elif path.read_text(encoding="utf-8") != page:
        print(f"{path.name} is out of date: run the make target that its comments name")
        return 1
    return 0
