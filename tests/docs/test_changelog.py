"""CHANGELOG.md has this version and names every command."""

from __future__ import annotations

import fedcoin
from fedcoin.application.cli.root_command import SECTIONS
from tests.support.documents import find_inline_code, read


def test_changelog_has_this_version() -> None:
    assert f"## {fedcoin.__version__}" in read("CHANGELOG.md")


def test_changelog_names_every_command() -> None:
    named = set(find_inline_code(read("CHANGELOG.md")))
    assert {name for section in SECTIONS.values() for name in section} <= named
