"""Links and file names on every page lead to files and headings that exist."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

from tests.support.documents import find_anchors, find_inline_code, find_links, read_pages
from tests.support.paths import PACKAGE, PROTO, ROOT

WRITTEN_BY_READERS = {
    "mnist.npz",
    "mine.npz",
    "buf.gen.yaml",
    "base.npz",
    "frozen.npz",
    "update.npz",
}
"""Files that a page tells its reader to create, or that a program finds and writes in a round."""


@cache
def anchors_of(page: Path) -> set[str]:
    return find_anchors(page.read_text(encoding="utf-8"))


def test_links_resolve() -> None:
    links = [
        (page, target)
        for page, text in read_pages().items()
        for target in find_links(text)
        if not re.match(r"[a-z]+:", target)
    ]
    for page, target in links:
        path, _, anchor = target.partition("#")
        linked = ((ROOT / page).parent / path).resolve() if path else ROOT / page
        assert linked.exists(), f"{page} links to {target}"
        assert not anchor or anchor in anchors_of(linked), f"{page} links to {target}"


def test_source_files_exist() -> None:
    known = {path.name for path in PACKAGE.rglob("*") if path.is_file()} | WRITTEN_BY_READERS
    for page, text in read_pages().items():
        for code in find_inline_code(text):
            if re.fullmatch(r"[\w./]+\.(py|proto|j2|yaml|npz)", code) and code not in known:
                candidates = (ROOT / code, PACKAGE / code, PROTO / "fedcoin/v1" / code)
                assert any(path.exists() for path in candidates), f"{page}: {code}"
