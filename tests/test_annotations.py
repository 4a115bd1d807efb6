"""Arrays in annotations say what they hold.

The type stubs of NumPy 2.2, the last one for Python 3.10, refuse `np.ndarray` without arguments.
Newer ones, with which most people check, take it.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator

import pytest

from tests.support.paths import ROOT

FILES = [
    path
    for folder in ("fedcoin", "scripts", "examples", "tests")
    for path in sorted((ROOT / folder).rglob("*.py"))
    if not path.name.endswith("_pb2.py")
]


def find_types(tree: ast.AST) -> Iterator[ast.AST]:
    """Find annotations, and what stands in brackets, as in `dict[str, np.ndarray]`."""
    for node in ast.walk(tree):
        if isinstance(node, ast.arg | ast.AnnAssign) and node.annotation is not None:
            yield node.annotation
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.returns is not None:
            yield node.returns
        elif isinstance(node, ast.Subscript):
            yield node.slice


def find_bare_arrays(tree: ast.AST) -> set[int]:
    """Return the lines on which a type is `np.ndarray` without arguments."""
    with_arguments = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Subscript)}
    return {
        node.lineno
        for found in find_types(tree)
        for node in ast.walk(found)
        if isinstance(node, ast.Attribute)
        and node.attr == "ndarray"
        and id(node) not in with_arguments
    }


def test_arrays_have_type_arguments() -> None:
    sources = {path: path.read_text(encoding="utf-8") for path in FILES}
    found = [
        f"{path.relative_to(ROOT)}:{line}"
        for path, source in sources.items()
        if "np.ndarray" in source
        for line in sorted(find_bare_arrays(ast.parse(source)))
    ]
    assert found == []


@pytest.mark.parametrize(
    ("source", "lines"),
    [
        ("def f(x: np.ndarray) -> None: ...", {1}),
        ("def f(x: int) -> list[np.ndarray]: ...", {1}),
        ("Arrays = dict[str, np.ndarray]", {1}),
        ("x: np.ndarray | None = None", {1}),
        ("x: np.ndarray[Any, Any]\nassert isinstance(x, np.ndarray)", set()),
    ],
)
def test_the_check_finds_bare_arrays(source: str, lines: set[int]) -> None:
    assert find_bare_arrays(ast.parse(source)) == lines
