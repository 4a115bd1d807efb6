"""Overlays and in-memory states behave like dictionaries."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedcoin.contract.state.overlay import MemoryState, Overlay
from tests.conftest import ReportAttack

KEYS = st.binary(min_size=1, max_size=3)
CHANGES = st.dictionaries(KEYS, st.none() | st.binary(max_size=3), max_size=12)
ENTRIES = st.dictionaries(KEYS, st.binary(max_size=3), max_size=12)


def applied(entries: dict[bytes, bytes], changes: dict[bytes, bytes | None]) -> dict[bytes, bytes]:
    merged = {**entries, **changes}
    return {key: value for key, value in merged.items() if value is not None}


def write(overlay: Overlay, changes: dict[bytes, bytes | None]) -> None:
    for key, value in changes.items():
        if value is None:
            overlay.delete(key)
        else:
            overlay.put(key, value)


@given(ENTRIES, CHANGES, CHANGES, st.binary(max_size=2))
def test_an_overlay_over_an_overlay_reads_like_a_dictionary(
    entries: dict[bytes, bytes],
    first: dict[bytes, bytes | None],
    second: dict[bytes, bytes | None],
    prefix: bytes,
) -> None:
    below = MemoryState(entries)
    lower = Overlay(below)
    write(lower, first)
    upper = Overlay(lower)
    write(upper, second)
    expected = applied(applied(entries, first), second)
    wanted = sorted((k, v) for k, v in expected.items() if k.startswith(prefix))
    assert list(upper.scan(prefix)) == wanted
    assert all(upper.get(key) == expected.get(key) for key in {*entries, *first, *second})
    # The state below is unchanged.
    assert dict(lower.scan(b"")) == applied(entries, first)
    assert dict(below.scan(b"")) == entries


@given(ENTRIES, CHANGES, CHANGES)
def test_changes_are_what_leads_from_below_to_here(
    entries: dict[bytes, bytes],
    first: dict[bytes, bytes | None],
    second: dict[bytes, bytes | None],
) -> None:
    state = MemoryState(entries)
    lower = Overlay(state)
    write(lower, first)
    upper = Overlay(lower)
    write(upper, second)
    lower.merge(upper)
    changes = lower.changes()
    expected = applied(applied(entries, first), second)
    assert all(entries.get(key) != value for key, value in changes.items())
    state.apply(changes)
    assert list(state.scan(b"")) == sorted(expected.items())


def test_a_value_that_was_set_back_is_no_change() -> None:
    overlay = Overlay(MemoryState({b"a": b"1"}))
    overlay.put(b"a", b"2")
    overlay.put(b"a", b"1")
    overlay.put(b"b", b"1")
    overlay.delete(b"b")
    assert overlay.changes() == {}
    assert overlay.before(b"a") == b"1"


class WatchedKey(bytes):
    """A key that counts how often its beginning is looked at."""

    looks = 0

    def startswith(self, *args: Any) -> bool:
        WatchedKey.looks += 1
        return super().startswith(*args)


def test_entries_that_came_and_went_do_not_slow_down_scans() -> None:
    """A block may open thousands of tasks that displace each other."""
    below = Overlay(MemoryState({b"open/a": b"1"}))
    overlay = Overlay(below)
    for number in range(1_000):
        overlay.put(WatchedKey(b"open/%d" % number), b"")
        overlay.delete(WatchedKey(b"open/%d" % number))
    overlay.put(b"open/a", b"2")
    overlay.delete(b"open/a")
    WatchedKey.looks = 0
    assert list(overlay.scan(b"open/")) == []
    assert WatchedKey.looks == 0
    below.merge(overlay)
    assert below.changes() == {b"open/a": None}


@pytest.mark.attack
def test_many_writes_do_not_slow_down_the_scans_for_open_tasks(report_attack: ReportAttack) -> None:
    """Each open task is scanned for its miners at the end of a block, whatever the block wrote."""
    overlay = Overlay(MemoryState({b"miner/7/a": b"1"}))
    accounts, tasks = 6_000, 200
    for number in range(accounts):
        overlay.put(WatchedKey(b"account/%d" % number), b"")
    WatchedKey.looks = 0
    for task in range(tasks):
        overlay.put(b"miner/%d/b" % task, b"2")
        expected = [(b"miner/%d/b" % task, b"2")]
        if task == 7:
            expected.insert(0, (b"miner/7/a", b"1"))
        assert list(overlay.scan(b"miner/%d/" % task)) == expected
    assert WatchedKey.looks == 0
    report_attack(
        "2,000 tasks opened for 0.04 FDC, and blocks that each pay 60,000 accounts for 0.004 FDC,"
        " keep validators busy",
        "all accounts are compared for each task: 120,000,000 comparisons a block",
        f"{WatchedKey.looks} comparisons",
    )
