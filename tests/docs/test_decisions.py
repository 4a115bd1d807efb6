"""The decision records in docs/adr are complete, numbered and listed."""

from __future__ import annotations

import re

from tests.support.documents import read
from tests.support.paths import DOCS


def test_decisions_are_numbered_and_listed() -> None:
    names = sorted(path.name for path in (DOCS / "adr").glob("*.md"))
    numbers = [int(name[:4]) for name in names]
    assert numbers == sorted(set(numbers))  # a number whose record is still being written may lack
    listed = re.findall(r"\(adr/([^)]+)\)", read("docs/ARCHITECTURE.md"))
    assert listed == names


def test_decisions_have_all_their_parts() -> None:
    for path in (DOCS / "adr").glob("*.md"):
        text = path.read_text(encoding="utf-8")
        assert text.startswith(f"# {int(path.name[:4])}. ")
        for part in ("Context", "Decision", "Consequences"):
            assert f"**{part}.**" in text, f"{path.name} lacks {part}"
