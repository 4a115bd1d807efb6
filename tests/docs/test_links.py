"""Links and file names on every page lead to files and headings that exist."""

from __future__ import annotations

import re
from pathlib import Path

from tests.support.documents import EVERY_PAGE, find_anchors, find_inline_code, find_links
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


@EVERY_PAGE
def test_links_resolve(page: Path) -> None:
    for target in find_links(page.read_text(encoding="utf-8")):
        if re.match(r"[a-z]+:", target):
            continue
        path, _, anchor = target.partition("#")
        linked = (page.parent / path).resolve() if path else page
        assert linked.exists(), f"{page.name} links to {target}"
        if anchor:
            anchors = find_anchors(linked.read_text(encoding="utf-8"))
            assert anchor in anchors, f"{page.name} links to {target}"


@EVERY_PAGE
def test_source_files_exist(page: Path) -> None:
    names = {path.name for path in PACKAGE.rglob("*") if path.is_file()}
    for code in find_inline_code(page.read_text(encoding="utf-8")):
        if not re.fullmatch(r"[\w./]+\.(py|proto|j2|yaml|npz)", code):
            continue
        candidates = (ROOT / code, PACKAGE / code, PROTO / "fedcoin/v1" / code)
        exists = any(candidate.exists() for candidate in candidates)
        assert exists or code in names | WRITTEN_BY_READERS, code
