"""The Python on the pages compiles, imports what exists, and prints what the page says."""

from __future__ import annotations

import importlib
import re
from pathlib import Path

import pytest

from tests.support.documents import find_code_blocks, read, read_pages
from tests.support.paths import ROOT


def test_library_example_prints_what_the_readme_says(capsys: pytest.CaptureFixture[str]) -> None:
    text = read("README.md")
    example = next(b for b in find_code_blocks(text, "python") if "shapley.estimate" in b)
    exec(compile(example, "README.md", "exec"), {})
    assert capsys.readouterr().out in find_code_blocks(text, "text")


FRAMEWORKS = {"flwr", "nvflare", "torch"}
"""Packages that integrations import and that may be missing here."""


def check_import(module: str, name: str) -> None:
    """Fail unless `from module import name` works."""
    try:
        found = importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name not in FRAMEWORKS:
            raise
        # Without its framework an integration cannot be imported, but its source can be read.
        path = Path(*module.split("."))
        assert any(
            re.search(rf"\b{name}\b", source.read_text(encoding="utf-8"))
            for source in (ROOT / path.with_suffix(".py"), ROOT / path / "__init__.py")
            if source.exists()
        )
        return
    if not hasattr(found, name):
        importlib.import_module(f"{module}.{name}")


def test_python_examples_compile_and_import() -> None:
    blocks = [
        (page, block)
        for page, text in read_pages().items()
        for block in find_code_blocks(text, "python")
    ]
    for page, block in blocks:
        compile(block, page, "exec")
        for module, names in re.findall(r"^from (fedcoin[\w.]*) import (.+)$", block, re.MULTILINE):
            for name in names.split(", "):
                check_import(module, name)
