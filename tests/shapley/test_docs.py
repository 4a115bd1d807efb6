"""docs/SHAPLEY.md: the examples print what the page says."""

from __future__ import annotations

import re

import pytest

from tests.support.paths import DOCS

PAGE = DOCS / "SHAPLEY.md"


def test_the_examples_print_what_the_page_says(capsys: pytest.CaptureFixture[str]) -> None:
    text = PAGE.read_text(encoding="utf-8")
    blocks = re.findall(r"^```(python|text)\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    assert [kind for kind, _ in blocks] == ["python", "text"] * (len(blocks) // 2)
    names: dict[str, object] = {}
    for (_, program), (_, printed) in zip(blocks[::2], blocks[1::2], strict=True):
        exec(compile(program, "SHAPLEY.md", "exec"), names)
        assert capsys.readouterr().out == printed
