"""Every error code has a status, is raised by the product and is asserted by a test."""

from __future__ import annotations

import ast
import importlib
import re
from collections import Counter
from collections.abc import Iterator
from enum import Enum
from functools import cache
from pathlib import Path

import grpc
import pytest

from fedcoin.data.errors import DataCode
from fedcoin.network.error_statuses import LAYERS, STATUS_OF, status_of
from fedcoin.network.errors import NetworkCode

ROOT = Path(__file__).resolve().parents[2]
PRODUCT = ROOT / "fedcoin"


def enum_of(layer: str) -> type[Enum]:
    module = importlib.import_module(f"fedcoin.{layer}.errors")
    enums = [
        value
        for value in vars(module).values()
        if isinstance(value, type)
        and issubclass(value, Enum)
        and value.__module__ == module.__name__
    ]
    assert len(enums) == 1, f"fedcoin.{layer} should have one enum of codes"
    return enums[0]


CODES = [code for layer in LAYERS for code in enum_of(layer)]
OWNERS = Counter(code.name for code in CODES)
"""How many layers have a code of this name."""


def test_every_layer_with_codes_is_known() -> None:
    found = sorted(path.parent.name for path in PRODUCT.glob("*/errors.py"))
    assert found == sorted(LAYERS)
    assert list(PRODUCT.glob("*/*/errors.py")) == [], "a layer has one enum of codes"


@pytest.mark.parametrize("layer", LAYERS)
def test_the_table_is_complete_and_has_nothing_left_over(layer: str) -> None:
    names = {code.name for code in enum_of(layer)}
    listed = {name for owner, name in STATUS_OF if owner == layer}
    assert names - listed == set(), "codes without a status"
    assert listed - names == set(), "statuses without a code"


def test_codes_are_their_own_names() -> None:
    for code in CODES:
        assert code.value == code.name
        assert status_of(code) is not grpc.StatusCode.OK


def test_one_word_may_mean_different_things_in_different_layers() -> None:
    # A transaction for another chain can never be valid, while a peer of another chain may be
    # correct.
    assert status_of(DataCode.WRONG_CHAIN) is grpc.StatusCode.INVALID_ARGUMENT
    assert status_of(NetworkCode.WRONG_CHAIN) is grpc.StatusCode.FAILED_PRECONDITION


def test_a_forgotten_code_is_unknown() -> None:
    class Code(str, Enum):
        NEW = "NEW"

    Code.__module__ = "fedcoin.data.errors"
    assert status_of(Code.NEW) is grpc.StatusCode.UNKNOWN


# Where codes are used -----------------------------------------------------------------------------


@cache
def uses_in(folder: Path) -> frozenset[tuple[str, str]]:
    """The (enum, member) of all codes that the files of a folder use, except to compare."""
    enums = {enum_of(layer).__name__ for layer in LAYERS}
    found: set[tuple[str, str]] = set()
    for path in folder.rglob("*.py"):
        if path.name == "errors.py" or "v1" in path.relative_to(folder).parts[:1]:
            continue
        source = path.read_text(encoding="utf-8")
        if any(enum in source for enum in enums):
            found |= set(made_codes(ast.parse(source), enums))
    return frozenset(found)


def made_codes(node: ast.AST, enums: set[str]) -> Iterator[tuple[str, str]]:
    """The codes below a node, but for those in comparisons and sets of codes."""
    if isinstance(node, (ast.Compare, ast.Set)):
        return
    if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
        if node.value.id in enums:
            yield node.value.id, node.attr
        return
    for child in ast.iter_child_nodes(node):
        yield from made_codes(child, enums)


@cache
def codes_in_tests() -> tuple[frozenset[tuple[str, str]], frozenset[str]]:
    """The (enum, member) of all codes that the tests name, and the names in their strings."""
    enums = "|".join(enum_of(layer).__name__ for layer in LAYERS)
    members: set[tuple[str, str]] = set()
    names: set[str] = set()
    for path in (ROOT / "tests").rglob("*.py"):
        source = path.read_text(encoding="utf-8")
        members |= set(re.findall(rf"\b({enums})\.([A-Z_]+)\b", source))
        names |= set(re.findall(r"\"[^\"\n]*?\b([A-Z][A-Z_]+)\b[^\"\n]*\"", source))
    return frozenset(members), frozenset(names)


def test_the_product_raises_every_code() -> None:
    used = uses_in(PRODUCT)
    unused = [code for code in CODES if (type(code).__name__, code.name) not in used]
    assert not unused


def test_a_test_asserts_every_code() -> None:
    members, names = codes_in_tests()

    def is_asserted(code: Enum) -> bool:
        by_name = code.name in names and OWNERS[code.name] == 1
        return (type(code).__name__, code.name) in members or by_name

    assert not [code for code in CODES if not is_asserted(code)]
