"""The Merkle-sum tree against a plain recursive one."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedcoin.incentive.proof import sum_tree


def plain_leaf(index: int, utilities: list[int], vector: list[int]) -> bytes:
    return hashlib.sha256(
        b"\x00"
        + index.to_bytes(8, "big")
        + b"".join(value.to_bytes(4, "big") for value in utilities)
        + b"".join(value.to_bytes(8, "big", signed=True) for value in vector)
    ).digest()


Node = tuple[bytes, int, list[int]]


def plain_node(nodes: list[Node]) -> Node:
    """Hash, count and sum over nodes, split as RFC 6962 does."""
    if len(nodes) == 1:
        return nodes[0]
    cut = 1
    while cut * 2 < len(nodes):
        cut *= 2
    sides = [plain_node(nodes[:cut]), plain_node(nodes[cut:])]
    packed = b"".join(
        digest
        + count.to_bytes(8, "big")
        + b"".join(v.to_bytes(8, "big", signed=True) for v in sums)
        for digest, count, sums in sides
    )
    total = [a + b for a, b in zip(sides[0][2], sides[1][2], strict=True)]
    return hashlib.sha256(b"\x01" + packed).digest(), sides[0][1] + sides[1][1], total


@pytest.mark.parametrize("samples", [1, 2, 3, 5, 8, 11, 64, 65])
def test_the_fast_tree_is_the_plain_one(samples: int) -> None:
    rng = np.random.default_rng(samples)
    utilities = rng.integers(0, 2**32, size=(samples, 3))
    vectors = rng.integers(-(2**40), 2**40, size=(samples, 2))
    grown = sum_tree.build_sum_tree(utilities, vectors)
    nodes = [
        (plain_leaf(i, utilities[i].tolist(), vectors[i].tolist()), 1, vectors[i].tolist())
        for i in range(samples)
    ]
    root, count, total = plain_node(nodes)
    assert (grown.root, grown.total, count) == (root, total, samples)


@given(
    st.integers(1, 200).flatmap(
        lambda n: st.tuples(st.just(n), st.sets(st.integers(0, n - 1), min_size=1))
    )
)
def test_multiproofs_lead_to_the_root(case: tuple[int, set[int]]) -> None:
    samples, chosen = case
    rng = np.random.default_rng(samples)
    utilities = rng.integers(0, 9, size=(samples, 2))
    vectors = rng.integers(-9, 9, size=(samples, 2))
    grown = sum_tree.build_sum_tree(utilities, vectors)
    indices = np.array(sorted(chosen))
    known = sum_tree.KnownNodes(
        indices,
        sum_tree.leaf_hashes(indices, utilities[indices], vectors[indices]),
        vectors[indices],
    )
    missing = sum_tree.sibling_positions(indices.tolist(), samples)
    nodes = iter(grown.siblings(indices.tolist()))
    for level, places in enumerate(missing):
        for place in places:
            digest, sums = next(nodes)
            known = known.with_nodes(
                np.array([place]),
                np.frombuffer(digest, dtype=np.uint8)[None],
                np.array([sums]),
            )
        known = known.parents(level, samples)
    assert next(nodes, None) is None
    assert known.positions.tolist() == [0]
    assert known.hashes[0].tobytes() == grown.root
    assert known.sums[0].tolist() == grown.total


def test_spans_cover_the_leaves() -> None:
    for samples in (1, 5, 8, 13):
        for level, width in enumerate(sum_tree.level_widths(samples)):
            first, count = sum_tree.leaf_spans(level, np.arange(width), samples)
            covered = [
                leaf
                for start, length in zip(first.tolist(), count.tolist(), strict=True)
                for leaf in range(start, start + length)
            ]
            assert covered == list(range(samples))
