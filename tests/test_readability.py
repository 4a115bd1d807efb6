"""Functions of the tests are short, and tests use only what the code they test makes public."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.paths import TESTS

MAX_LINES = 50
"""The longest function, from its `def` to its last line."""

FILES = sorted(TESTS.rglob("*.py"))


def find_long_functions(tree: ast.AST) -> list[str]:
    return [
        node.name
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and (node.end_lineno or 0) - node.lineno + 1 > MAX_LINES
    ]


def is_private(name: str) -> bool:
    return name.startswith("_") and not name.startswith("__")


def called_name(call: ast.Call) -> str:
    """Return the last part of a called function's name, such as `setattr`; empty without one."""
    return str(getattr(call.func, "attr", "") or getattr(call.func, "id", ""))


def find_private_uses(tree: ast.AST) -> Iterator[str]:
    """Yield private attributes of other objects than `self`, and private names of other modules."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and is_private(node.attr):
            if ast.unparse(node.value) not in ("self", "cls"):
                yield ast.unparse(node)
        elif isinstance(node, ast.ImportFrom):
            yield from (name.name for name in node.names if is_private(name.name))
        elif isinstance(node, ast.Call) and "attr" in called_name(node):
            # `getattr(node, "_peers")` and `monkeypatch.setattr(node, "_peers", ...)`.
            names = [a.value for a in node.args if isinstance(a, ast.Constant)]
            yield from (name for name in names if isinstance(name, str) and is_private(name))


def parse(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def test_functions_are_short() -> None:
    long = {
        path.relative_to(TESTS): names
        for path in FILES
        if (names := find_long_functions(parse(path)))
    }
    assert long == {}


def test_tests_leave_private_names_alone() -> None:
    uses = {
        path.relative_to(TESTS): names
        for path in FILES
        if (names := [*find_private_uses(parse(path))])
    }
    assert uses == {}


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("node._peers.close()", ["node._peers"]),
        ("self._peers._links", ["self._peers._links"]),
        ("from fedcoin.data import _cache", ["_cache"]),
        ("getattr(node, '_peers')", ["_peers"]),
        ("patch.setattr(module, '_peers', 1)", ["_peers"]),
        ("self._peers, cls._made, node.peers, node.__class__", []),
    ],
)  # fmt: skip
def test_the_check_finds_private_names(source: str, found: list[str]) -> None:
    assert list(find_private_uses(ast.parse(source))) == found


def test_the_check_finds_long_functions() -> None:
    body = "    pass\n" * MAX_LINES
    tree = ast.parse(
        f"def short():\n{body.removesuffix('    pass' + chr(10))}\ndef long():\n{body}"
    )
    assert find_long_functions(tree) == ["long"]
