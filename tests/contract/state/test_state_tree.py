"""The state's hash does not depend on the order of changes, and proves each entry."""

from __future__ import annotations

import hashlib
from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from fedcoin.contract.state.state_tree import StateTree, bucket_index, verify_entry

KEYS = st.binary(min_size=1, max_size=2)
CHANGES = st.dictionaries(KEYS, st.none() | st.binary(max_size=4), max_size=30)


def plain_root(entries: dict[bytes, bytes]) -> bytes:
    """The definition, written as a plain recursion."""
    buckets: list[list[bytes]] = [[] for _ in range(1024)]
    for key, value in sorted(entries.items()):
        number = int.from_bytes(hashlib.sha256(key).digest(), "big") >> 246
        preimage = b"\x02" + len(key).to_bytes(2, "big") + key + value
        buckets[number].append(hashlib.sha256(preimage).digest())
    level = [hashlib.sha256(b"\x00" + b"".join(bucket)).digest() for bucket in buckets]
    while len(level) > 1:
        level = [
            hashlib.sha256(b"\x01" + level[i] + level[i + 1]).digest()
            for i in range(0, len(level), 2)
        ]
    return level[0]


def test_known_roots() -> None:
    assert StateTree.load([]).root == plain_root({})
    # A golden value: another layout would be another chain.
    assert (
        StateTree.load([]).root.hex()
        == "0162892fa669b555682d4c5666f42c98f230e76406d646e6dbbcefb5d311e047"
    )
    entries = {b"account/" + bytes([i]) * 20: bytes([8, i]) for i in range(200)}
    assert StateTree.load(entries.items()).root == plain_root(entries)
    assert (
        StateTree.load(entries.items()).root.hex()
        == "bca0007e14d1a29ebbb9a1fccf354f2bf61fd0edfc34b051ad3c6d4dcb717fd2"
    )


@settings(max_examples=40)
@given(st.lists(CHANGES, max_size=4))
def test_it_does_not_matter_in_which_steps_a_state_was_reached(
    steps: list[dict[bytes, bytes | None]],
) -> None:
    tree, entries = StateTree(), dict[bytes, bytes]()
    for changes in steps:
        before = tree.root
        update = tree.update(changes)
        assert tree.root == before
        tree.adopt(update)
        for key, value in changes.items():
            if value is None:
                entries.pop(key, None)
            else:
                entries[key] = value
        assert tree.root == update.root == StateTree.load(entries.items()).root
    assert tree.root == plain_root(entries)


def test_an_update_that_is_not_adopted_changes_nothing() -> None:
    tree = StateTree.load([(b"a", b"1"), (b"b", b"2")])
    root = tree.root
    first = tree.update({b"a": b"9", b"c": b"3"})
    second = tree.update({b"b": None})
    assert tree.root == root
    assert first.root != second.root
    tree.adopt(second)
    assert tree.root == StateTree.load([(b"a", b"1")]).root


def test_a_proof_fits_one_entry_of_one_state() -> None:
    entries = {b"key/%d" % i: b"value %d" % i for i in range(3_000)}
    tree = StateTree.load(entries.items())
    proof = tree.prove(b"key/77")
    assert proof is not None
    assert len(proof.bucket) > 32
    assert verify_entry(b"key/77", b"value 77", proof, tree.root)
    assert not verify_entry(b"key/77", b"value 78", proof, tree.root)
    assert not verify_entry(b"key/78", b"value 78", proof, tree.root)
    assert not verify_entry(b"key/77", b"value 77", proof, bytes(32))
    short = replace(proof, path=proof.path[:-1])
    assert not verify_entry(b"key/77", b"value 77", short, tree.root)
    # Thirty-two bytes across two hashes are not a hash of the proof.
    crooked = replace(proof, bucket=b"\0" + proof.bucket[:-1])
    assert not verify_entry(b"key/77", b"value 77", crooked, tree.root)
    assert tree.prove(b"key/3000") is None


def test_buckets_are_the_first_ten_bits() -> None:
    for i in range(100):
        key = b"%d" % i
        assert bucket_index(key) == int.from_bytes(hashlib.sha256(key).digest(), "big") >> 246
