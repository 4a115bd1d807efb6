"""Which code imports test equipment, scripts and tests."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from tests.support.paths import PACKAGE, ROOT, TESTS


@cache
def imports_of(path: Path) -> tuple[str, ...]:
    """Returns the modules that a file imports anywhere, functions included."""
    return tuple(_find_imports(path))


def _find_imports(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module or ""


def importers(folder: Path, *forbidden: str) -> list[tuple[str, str]]:
    return [
        (str(path.relative_to(ROOT)), module)
        for path in sorted(folder.rglob("*.py"))
        for module in imports_of(path)
        if module.startswith(forbidden)
    ]


def test_the_package_imports_neither_scripts_nor_tests() -> None:
    assert importers(PACKAGE, "scripts", "tests") == []


def test_only_test_equipment_imports_test_equipment() -> None:
    found = importers(PACKAGE, "fedcoin.testing")
    assert [path for path, _ in found if not path.startswith("fedcoin/testing/")] == []


def test_only_tests_of_scripts_import_scripts() -> None:
    found = importers(TESTS, "scripts")
    assert [path for path, _ in found if not path.startswith("tests/scripts/")] == []
