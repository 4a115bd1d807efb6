"""The memory of the state shows each block's changes, whatever was read before or meanwhile."""

from __future__ import annotations

from collections.abc import Iterator

from fedcoin.contract.state.cached_state import CachedState
from fedcoin.contract.state.overlay import MemoryState


class CountingState(MemoryState):
    """Counts reads, and runs a function in the middle of one."""

    reads = 0
    interruption = staticmethod(lambda: None)

    def get(self, key: bytes) -> bytes | None:
        self.reads += 1
        value = super().get(key)
        self.interruption()
        return value

    def scan(self, prefix: bytes) -> Iterator[tuple[bytes, bytes]]:
        return super().scan(prefix)


def test_an_entry_is_read_once_and_missing_ones_are_remembered() -> None:
    below = CountingState({b"a": b"1"})
    state = CachedState(below)
    assert [state.get(b"a"), state.get(b"a"), state.get(b"b"), state.get(b"b")] == [
        b"1", b"1", None, None,
    ]  # fmt: skip
    assert below.reads == 2
    assert list(state.scan(b"a")) == [(b"a", b"1")]


def test_changes_show_also_those_that_delete_or_grow() -> None:
    below = CountingState({b"a": b"1", b"b": b"2", b"c": b"3"})
    state = CachedState(below)
    for key in (b"a", b"b", b"c"):
        state.get(key)
    changes = {b"a": b"4", b"b": None, b"c": bytes(1000)}
    below.apply(changes)
    state.apply(changes)
    assert [state.get(key) for key in (b"a", b"b", b"c")] == [b"4", None, bytes(1000)]


def test_what_was_read_before_a_block_is_not_kept_after_it() -> None:
    below = CountingState({b"a": b"1"})
    state = CachedState(below)

    def block() -> None:
        below.interruption = staticmethod(lambda: None)
        below.apply({b"a": b"2"})
        state.apply({b"a": b"2"})

    below.interruption = staticmethod(block)
    # This read began before the block, and may show what was then.
    assert state.get(b"a") == b"1"
    assert state.get(b"a") == b"2"


def test_the_memory_is_bounded() -> None:
    keys = [bytes((number,)) for number in range(10)]
    below = CountingState(dict.fromkeys(keys, b"x"))
    state = CachedState(below, max_entries=4)
    for _ in range(2):
        for key in keys:
            state.get(key)
    assert below.reads == 2 * len(keys)
    for _ in range(2):
        state.apply({b"new": b"1", b"more": b"2"})
    assert state.get(b"new") == b"1"
    assert below.reads == 2 * len(keys)
