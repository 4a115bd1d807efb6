"""Hypothesis strategies that change one detail of evidence, to test the code that verifies it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from hypothesis import strategies as st

from fedcoin.v1.evidence_pb2 import Evidence

INT64 = st.integers(-(2**63), 2**63 - 1)
UINT32 = st.integers(0, 2**32 - 1)


def other(draw: st.DrawFn, strategy: st.SearchStrategy[Any], current: Any) -> Any:
    return draw(strategy.filter(lambda value: value != current))


def mutate_vector(draw: st.DrawFn, values: Any, strategy: st.SearchStrategy[int]) -> None:
    how = draw(st.sampled_from(["change", "drop", "add"]))
    place = draw(st.integers(0, len(values) - 1))
    if how == "change":
        near = st.integers(-3, 3).map(lambda step: values[place] + step)
        span = near if draw(st.booleans()) else strategy
        try:
            values[place] = other(draw, span, values[place])
        except ValueError:  # The sum left the field's range.
            values[place] = 0 if values[place] else 1
    elif how == "drop":
        del values[place]
    else:
        values.insert(place, draw(strategy))


def mutate_hash(draw: st.DrawFn, value: bytes) -> bytes:
    if draw(st.booleans()):
        return bytes(other(draw, st.binary(max_size=64), value))
    bit = draw(st.integers(0, 8 * len(value) - 1))
    flipped = bytearray(value)
    flipped[bit // 8] ^= 1 << bit % 8
    return bytes(flipped)


def mutate_list(draw: st.DrawFn, items: Any) -> bool:
    """Drop, repeat or swap whole items; returns False if the list did not change."""
    before = [item.SerializeToString() for item in items]
    place = draw(st.integers(0, len(items) - 1))
    how = draw(st.sampled_from(["drop", "repeat", "swap"]))
    kept = [type(items[0]).FromString(item) for item in before]
    if how == "drop":
        del kept[place]
    elif how == "repeat":
        kept.insert(place, kept[place])
    else:
        partner = draw(st.integers(0, len(items) - 1))
        kept[place], kept[partner] = kept[partner], kept[place]
    del items[:]
    items.extend(kept)
    return [item.SerializeToString() for item in items] != before


@st.composite
def single_mutations(draw: st.DrawFn, original: Evidence) -> Evidence:
    evidence = Evidence.FromString(original.SerializeToString())
    kinds = ["root", "samples", "total", "grand", "empty", "index", "utilities", "leaves"]
    kinds += ["hash", "sum", "siblings"] if evidence.siblings else []
    kind = draw(st.sampled_from(kinds))
    if kind == "root":
        evidence.root = mutate_hash(draw, evidence.root)
    elif kind == "samples":
        evidence.samples = other(
            draw, st.one_of(st.integers(0, 40), st.integers(0, 2**64 - 1)), evidence.samples
        )
    elif kind == "total":
        mutate_vector(draw, evidence.total, INT64)
    elif kind == "grand":
        evidence.grand_count = other(draw, st.integers(0, 400) | UINT32, evidence.grand_count)
    elif kind == "empty":
        evidence.empty_count = other(draw, st.integers(0, 400) | UINT32, evidence.empty_count)
    elif kind in ("index", "utilities"):
        leaf = evidence.leaves[draw(st.integers(0, len(evidence.leaves) - 1))]
        if kind == "index":
            leaf.index = other(draw, st.integers(0, 70) | st.integers(0, 2**64 - 1), leaf.index)
        else:
            mutate_vector(draw, leaf.utilities, st.integers(0, 300) | UINT32)
    elif kind in ("hash", "sum"):
        node = evidence.siblings[draw(st.integers(0, len(evidence.siblings) - 1))]
        if kind == "hash":
            node.hash = mutate_hash(draw, node.hash)
        else:
            mutate_vector(draw, node.sum, INT64)
    else:
        changed = mutate_list(draw, getattr(evidence, kind))
        if not changed:
            evidence.root = mutate_hash(draw, evidence.root)
    return evidence


def set_field(name: str, value: Any) -> Callable[[Evidence], None]:
    """Make a mutation that sets one field of the message."""
    return lambda evidence: setattr(evidence, name, value)
