"""Test files are handed out so that waiting and computing files run side by side."""

from __future__ import annotations

import re
from itertools import pairwise

from tests.support.file_order import KERAS, LONG_FIRST, WAITING, group_of, order_files
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
    others = [path for path in ORDERED if not path.startswith(WAITING) and path not in KERAS]
    folders = [path.split("/")[1] for path in others]
    long = [folder for folder in folders if folder in LONG_FIRST]
    assert list(dict.fromkeys(long)) == list(LONG_FIRST)
    assert set(LONG_FIRST).isdisjoint(folders[-20:])


def test_files_that_import_tensorflow_are_one_group_and_begin_early() -> None:
    assert set(KERAS) <= set(FILES)
    assert {group_of(path) for path in KERAS} == {"keras"}
    rest = set(FILES) - set(KERAS)
    assert len({group_of(path) for path in rest}) == len(rest)
    assert ORDERED[1] in KERAS
    named = re.compile(r"load_(keras|tensorflow)\(|create_initial_model|\bkeras_models\b")
    for path in rest:
        if path.startswith("tests/learning/"):
            assert not named.search((ROOT / path).read_text(encoding="utf-8")), path


def test_few_files_keep_their_places() -> None:
    few = ["tests/e2e/test_b.py", "tests/e2e/test_a.py", "tests/data/test_c.py"]
    assert order_files(few) == [
        "tests/e2e/test_a.py",
        "tests/e2e/test_b.py",
        "tests/data/test_c.py",
    ]
    assert order_files(few[2:]) == few[2:]
    assert order_files([]) == []
