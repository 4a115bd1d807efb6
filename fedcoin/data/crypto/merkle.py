"""Merkle tree hashes and audit paths as in RFC 6962, section 2.1, over SHA-256.

Leaves are hashed with 00 before them and inner nodes with 01, so that neither passes for the
other; a tree of n leaves is split at the largest power of two below n, and nothing is ever
doubled to fill a level.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from fedcoin.data.crypto.hashing import sha256


def leaf_hash(data: bytes) -> bytes:
    """SHA-256(00 || data), 32 bytes."""
    return sha256(b"\0", data)


def node_hash(left: bytes, right: bytes) -> bytes:
    """SHA-256(01 || left || right), 32 bytes."""
    return sha256(b"\1", left, right)


def root(leaves: Iterable[bytes]) -> bytes:
    """The tree hash over leaves' data; SHA-256 of nothing when there is none."""
    return root_from_hashes([leaf_hash(leaf) for leaf in leaves])


def root_from_hashes(hashes: Sequence[bytes]) -> bytes:
    """The tree hash over leaf hashes; SHA-256 of nothing when there is none."""
    if not hashes:
        return sha256()
    level = list(hashes)
    while len(level) > 1:
        level = _parents(level)
    return level[0]


def audit_path(leaves: Sequence[bytes], index: int) -> list[bytes]:
    """The audit path of the leaf at `index` (from 0): its siblings from below.

    `leaves` are the leaves' data. Raises `IndexError` when there is no such leaf.
    """
    if not 0 <= index < len(leaves):
        raise IndexError(f"no leaf {index} among {len(leaves)}")
    level = [leaf_hash(leaf) for leaf in leaves]
    found: list[bytes] = []
    while len(level) > 1:
        sibling = index ^ 1
        if sibling < len(level):
            found.append(level[sibling])
        level, index = _parents(level), index // 2
    return found


def verify_path(
    leaf: bytes, index: int, count: int, audit_path: Sequence[bytes], root: bytes
) -> bool:
    """Does the leaf (its data) stand at `index` of a tree of `count` leaves with this root?"""
    if not 0 <= index < count:
        return False
    value, rest = leaf_hash(leaf), iter(audit_path)
    while count > 1:
        sibling = index ^ 1
        if sibling < count:
            other = next(rest, None)
            if other is None or len(other) != len(value):
                return False
            value = node_hash(other, value) if index & 1 else node_hash(value, other)
        index, count = index // 2, (count + 1) // 2
    return next(rest, None) is None and value == root


def _parents(level: list[bytes]) -> list[bytes]:
    # A node without a sibling moves up as it is: the split at the largest power of two.
    parents = [node_hash(level[i], level[i + 1]) for i in range(0, len(level) - 1, 2)]
    if len(level) % 2:
        parents.append(level[-1])
    return parents
