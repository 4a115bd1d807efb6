"""What the processes of pytest-xdist share while they collect the tests.

All of them collect all files, at the same time and in the same order. In a fresh checkout each
would compile each module and each test, and let Hypothesis parse each module; so each begins with
its share, and finds what the others did.
"""

from __future__ import annotations

import compileall
import contextlib
import importlib
import sys

import pytest

from tests.support.paths import ROOT, TESTS

PACKAGE = "fedcoin"


def compile_share(index: int, count: int) -> None:
    """Compile every `count`-th module of the package that is not compiled yet.

    Args:
        index: The process's index, from 0.
        count: How many processes there are.
    """
    for path in sorted((ROOT / PACKAGE).rglob("*.py"))[index::count]:
        compileall.compile_file(path, quiet=2)


def import_share(index: int, count: int) -> None:
    """Import every `count`-th test file.

    Args:
        index: The process's index, from 0.
        count: How many processes there are.
    """
    for path in sorted(TESTS.rglob("test_*.py"))[index::count]:
        # What fails here fails again when it is collected, and is reported there.
        with contextlib.suppress(Exception, pytest.skip.Exception):
            importlib.import_module(".".join(path.relative_to(ROOT).with_suffix("").parts))


def read_share_of_constants(index: int, count: int) -> None:
    """Let Hypothesis read the constants of every `count`-th module that is imported.

    It reads those of all modules before the first test, draws examples among them, and keeps them
    in `.hypothesis`. Older versions read none, or by other functions: then this does nothing.

    Args:
        index: The process's index, from 0.
        count: How many processes there are.
    """
    try:
        from hypothesis.internal.constants_ast import constants_from_module
    except ImportError:
        return
    names = sorted(name for name in sys.modules if name.partition(".")[0] == PACKAGE)
    for name in names[index::count]:
        constants_from_module(sys.modules[name])
