"""Errors in logs are found, unless a network expects them."""

from __future__ import annotations

from fedcoin.testing.networks.log_alarms import find_alarms

LOG = """10:00:00.000 INFO    node: serving
10:00:01.000 ERROR   node: effects failed: disk I/O error
Traceback (most recent call last):
  File "node.py", line 1
10:00:02.000 INFO    node: the word ERRORS is none
"""


def test_errors_and_tracebacks_are_found_with_what_follows() -> None:
    first, second = find_alarms(LOG)
    assert first.startswith("10:00:01.000 ERROR   node: effects failed")
    assert second.startswith("Traceback")
    assert first.endswith("is none\n")


def test_expected_lines_are_passed_over() -> None:
    assert [alarm[:9] for alarm in find_alarms(LOG, ["effects failed"])] == ["Traceback"]
    assert list(find_alarms(LOG, ["effects failed", "Traceback"])) == []


def test_a_last_line_without_an_end_is_read() -> None:
    assert list(find_alarms("x\nE0101 core", [])) == ["E0101 core"]
    assert list(find_alarms("x\nE0101 core", ["core"])) == []
