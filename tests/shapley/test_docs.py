"""docs/SHAPLEY.md: the example prints what the page says."""

from __future__ import annotations

import re

import pytest

from tests.support.paths import DOCS

PAGE = DOCS / "SHAPLEY.md"


def test_the_example_prints_what_the_page_says(capsys: pytest.CaptureFixture[str]) -> None:
    text = PAGE.read_text(encoding="utf-8")
    blocks = dict(re.findall(r"^```(python|text)\n(.*?)^```$", text, re.MULTILINE | re.DOTALL))
    exec(compile(blocks["python"], "SHAPLEY.md", "exec"), {})
    assert capsys.readouterr().out == blocks["text"]
