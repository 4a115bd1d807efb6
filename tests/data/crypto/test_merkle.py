from __future__ import annotations

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedcoin.data.crypto import merkle
from tests.support.paths import read_vectors

LEAVES = st.lists(st.binary(max_size=8), min_size=1, max_size=40)


def by_definition(leaves: list[bytes]) -> bytes:
    """RFC 6962, section 2.1, word for word."""
    if not leaves:
        return hashlib.sha256().digest()
    if len(leaves) == 1:
        return hashlib.sha256(b"\0" + leaves[0]).digest()
    split = 1
    while split * 2 < len(leaves):
        split *= 2
    both = by_definition(leaves[:split]) + by_definition(leaves[split:])
    return hashlib.sha256(b"\1" + both).digest()


def test_golden_trees() -> None:
    for vector in read_vectors("merkle"):
        leaves = [bytes.fromhex(leaf) for leaf in vector["leaves"]]
        assert merkle.root(leaves).hex() == vector["root"]
        for index, path in enumerate(vector["paths"]):
            assert [value.hex() for value in merkle.audit_path(leaves, index)] == path


@given(st.lists(st.binary(max_size=8), max_size=40))
def test_root_is_the_definition(leaves: list[bytes]) -> None:
    assert merkle.root(leaves) == by_definition(leaves)
    assert merkle.root_from_hashes([merkle.leaf_hash(leaf) for leaf in leaves]) == merkle.root(
        leaves
    )


@given(LEAVES, st.data())
def test_each_path_proves_its_leaf_alone(leaves: list[bytes], data: st.DataObject) -> None:
    index = data.draw(st.integers(0, len(leaves) - 1))
    root, path = merkle.root(leaves), merkle.audit_path(leaves, index)
    assert merkle.verify_path(leaves[index], index, len(leaves), path, root)
    assert not merkle.verify_path(leaves[index] + b"x", index, len(leaves), path, root)
    assert not merkle.verify_path(leaves[index], index, len(leaves), path, root[::-1] + b"")
    assert not merkle.verify_path(leaves[index], index, len(leaves), [*path, bytes(32)], root)
    if path:
        assert not merkle.verify_path(leaves[index], index, len(leaves), path[:-1], root)
        short = [path[0][:31], *path[1:]]
        assert not merkle.verify_path(leaves[index], index, len(leaves), short, root)


@given(LEAVES, st.data())
def test_a_path_proves_no_other_place(leaves: list[bytes], data: st.DataObject) -> None:
    count = len(leaves)
    index, other = (data.draw(st.integers(0, count - 1)) for _ in range(2))
    path, root = merkle.audit_path(leaves, index), merkle.root(leaves)
    if merkle.verify_path(leaves[index], other, count, path, root):
        assert leaves[index] == leaves[other]


def test_a_leaf_beyond_the_tree_has_no_proof() -> None:
    with pytest.raises(IndexError):
        merkle.audit_path([b"a"], 1)
    with pytest.raises(IndexError):
        merkle.audit_path([b"a"], -1)
    assert not merkle.verify_path(b"a", 1, 1, [], merkle.root([b"a"]))
    assert not merkle.verify_path(b"a", 0, 0, [], merkle.root([]))


def test_a_node_is_no_leaf() -> None:
    left, right = merkle.leaf_hash(b"a"), merkle.leaf_hash(b"b")
    assert merkle.root([b"a", b"b"]) == merkle.node_hash(left, right)
    assert merkle.root([left + right]) != merkle.root([b"a", b"b"])
