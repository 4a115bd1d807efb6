"""Test files are handed out so that waiting and computing files run side by side."""

from __future__ import annotations

from itertools import pairwise

from tests.support.file_order import LONG_FIRST, WAITING, order_files
from tests.support.paths import ROOT, TESTS

FILES = [str(path.relative_to(ROOT)) for path in TESTS.rglob("test_*.py")]
ORDERED = order_files(FILES)


def test_each_file_is_there_once() -> None:
    assert sorted(ORDERED) == sorted(FILES)


def test_the_order_depends_on_the_paths_alone() -> None:
    assert order_files(FILES[::-1]) == ORDERED


def test_no_two_waiting_files_are_neighbours_and_none_is_late() -> None:
    waits = [path.startswith(WAITING) for path in ORDERED]
    assert waits[0]
    assert not any(first and second for first, second in pairwise(waits))
    assert not any(waits[len(waits) * 3 // 5 :])


def test_long_folders_come_first() -> None:
    folders = [path.split("/")[1] for path in ORDERED if not path.startswith(WAITING)]
    long = [folder for folder in folders if folder in LONG_FIRST]
    assert list(dict.fromkeys(long)) == list(LONG_FIRST)
    assert set(LONG_FIRST).isdisjoint(folders[-20:])


def test_few_files_keep_their_places() -> None:
    few = ["tests/e2e/test_b.py", "tests/e2e/test_a.py", "tests/data/test_c.py"]
    assert order_files(few) == [
        "tests/e2e/test_a.py",
        "tests/e2e/test_b.py",
        "tests/data/test_c.py",
    ]
    assert order_files(few[2:]) == few[2:]
    assert order_files([]) == []
