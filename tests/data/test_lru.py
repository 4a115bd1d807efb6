"""Maps and sets of bounded size."""

from __future__ import annotations

from fedcoin.data.lru import LruDict, LruSet


def test_a_set_evicts_the_least_recently_used_item() -> None:
    seen: LruSet[bytes] = LruSet(2)
    assert seen.add(b"a")
    assert seen.add(b"b")
    assert b"a" in seen
    assert seen.add(b"c")
    assert b"a" in seen
    assert b"b" not in seen
    assert not seen.add(b"a")
    assert len(seen) == 2
    seen.discard(b"a")
    seen.discard(b"never")
    assert seen.add(b"a")
    seen.clear()
    assert len(seen) == 0


def test_a_map_evicts_the_least_recently_used_entry() -> None:
    memory: LruDict[str, int] = LruDict(2)
    memory.put("a", 1)
    memory.put("b", 2)
    assert memory.get("a") == 1
    memory.put("c", 3)
    assert memory.get("b") is None
    assert ("a" in memory, "b" in memory, "c" in memory) == (True, False, True)
    memory.put("a", 4)
    assert len(memory) == 2
    assert memory.get("a") == 4
    memory.discard("a")
    memory.discard("never")
    assert "a" not in memory
    memory.clear()
    assert len(memory) == 0


def test_a_value_is_created_once_and_marked_as_used() -> None:
    memory: LruDict[str, list[str]] = LruDict(2)
    first = memory.get_or_create("a", list)
    memory.put("b", [])
    assert memory.get_or_create("a", list) is first
    memory.put("c", [])
    assert memory.get("a") is first
    assert memory.get("b") is None
