"""Names: none means two things, and each folder lists its modules."""

from __future__ import annotations

import ast
import re
from collections import defaultdict
from pathlib import Path

from tests.support.paths import PACKAGE

AGREED_MODULES = {
    # The same role in each layer or folder.
    "__main__", "errors", "servicer",
    # A command, and the module that holds what it works on.
    "keys", "progress", "tls",
    # The folder says whose they are: the coordinator's wait for a settlement and the ledger's rule;
    # sets of validators and their records in the state; messages and their gossip.
    "settlement", "validators", "transactions",
}  # fmt: skip


def modules() -> list[Path]:
    found = [path for path in PACKAGE.rglob("*.py") if path.name != "__init__.py"]
    return [path for path in found if path.relative_to(PACKAGE).parts[0] != "v1"]


def shared(homes: dict[str, list[str]]) -> dict[str, list[str]]:
    return {name: found for name, found in homes.items() if len(found) > 1}


def test_public_classes_have_names_of_their_own() -> None:
    homes: dict[str, list[str]] = defaultdict(list)
    for path in modules():
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                homes[node.name].append(str(path.relative_to(PACKAGE)))
    assert shared(homes) == {}


def test_modules_share_only_agreed_names() -> None:
    homes: dict[str, list[str]] = defaultdict(list)
    for path in modules():
        homes[path.stem].append(str(path.relative_to(PACKAGE)))
    assert set(shared(homes)) == AGREED_MODULES


def test_no_folder_holds_many_modules() -> None:
    counts: dict[Path, int] = defaultdict(int)
    for path in modules():
        counts[path.parent] += 1
    assert {str(folder.relative_to(PACKAGE)) for folder, n in counts.items() if n > 16} == set()


# Folders with one module for each command of `fedcoin-node`.
COMMANDS = {
    f"application/cli/{folder}"
    for folder in ("nodes", "payments", "queries", "training", "training/task", "training/train")
}
UNLISTED = {"__init__", "__main__", "errors", "v1"}


def test_each_folder_lists_its_modules() -> None:
    wrong: dict[str, dict[str, set[str]]] = {}
    for path in PACKAGE.rglob("__init__.py"):
        folder = path.parent.relative_to(PACKAGE).as_posix()
        if folder in COMMANDS or folder.startswith("v1"):
            continue
        text = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
        there = {file.stem for file in path.parent.glob("*.py")}
        there |= {file.parent.name for file in path.parent.glob("*/__init__.py")}
        bullets = " ".join(re.findall(r"^\* .*(?:\n  .*)*", text, re.MULTILINE))
        unlisted = there - UNLISTED - set(re.findall(r"`(\w+)/?`", text))
        unknown = set(re.findall(r"`([a-z_]+)/?`", bullets)) - there
        if unlisted or unknown:
            wrong[folder] = {"not in the docstring": unlisted, "in it, but not there": unknown}
    assert wrong == {}
