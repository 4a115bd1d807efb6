"""What the check of docstrings finds."""

from __future__ import annotations

import ast

import pytest

from scripts.tools.check_docstrings import faults_of, only_repeats, public_functions

GOOD = '''
def add(first_ms: int, *, clock: Clock) -> int:
    """Add.

    Args:
        first_ms: The time of the first event,
            in Unix ms.
        clock: Gives Unix ms.

    Returns:
        The sum.
    """
    return first_ms + clock()
'''


def faults(source: str) -> list[str]:
    return [
        fault
        for _, function, docstring in public_functions(ast.parse(source))
        for fault in faults_of(function, docstring)
    ]


@pytest.mark.parametrize(
    ("old", "new", "fault"),
    [
        ("", "", None),
        ("clock: Gives Unix ms.", "", "Args: does not name `clock`"),
        ("Gives Unix ms.", "The clock.", "Args: says no more of `clock` than its name"),
        ("The time of the first event,", "", None),  # the second line says the unit
        ("Returns:", "Sum:", "has no Returns: section"),
        ("return", "raise OSError\n    return", "has no Raises: section"),
    ],
)
def test_faults(old: str, new: str, fault: str | None) -> None:
    assert faults(GOOD.replace(old, new, 1)) == ([] if fault is None else [fault])


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("num_clients", "The number of clients.", False),
        ("clients", "The clients.", True),
        ("task_id", "Its task id.", True),
        ("key", "The key that signs.", False),
    ],
)
def test_sentences_that_only_repeat_the_name(name: str, text: str, expected: bool) -> None:
    assert only_repeats(name, text) is expected
