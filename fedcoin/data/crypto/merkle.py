"""Merkle tree hashes and audit paths (RFC 6962, section 2.1), over SHA-256.

Leaves are hashed with a 00 before them and inner nodes with a 01, so that a leaf cannot be taken
for a node. A tree of n leaves is split at the largest power of two below n; no leaf is duplicated
to fill a level.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence

from fedcoin.data.crypto.hashing import sha256


def leaf_hash(data: bytes) -> bytes:
    """Hash a leaf: SHA-256(00 || data).

    Args:
        data: The leaf's data.

    Returns:
        The hash, 32 bytes.
    """
    return sha256(b"\0", data)


def node_hash(left: bytes, right: bytes) -> bytes:
    """Hash an inner node: SHA-256(01 || left || right).

    Args:
        left: The left child's hash, 32 bytes.
        right: The right child's hash, 32 bytes.

    Returns:
        The hash, 32 bytes.
    """
    return hashlib.sha256(b"\1" + left + right).digest()


def root(leaves: Iterable[bytes]) -> bytes:
    """Compute the tree hash over leaves.

    Args:
        leaves: The leaves' data, in order.

    Returns:
        The root hash, 32 bytes; SHA-256 of the empty string when there are no leaves.
    """
    return root_from_hashes([leaf_hash(leaf) for leaf in leaves])


def root_from_hashes(hashes: Sequence[bytes]) -> bytes:
    """Compute the tree hash over leaves whose hashes are known.

    Args:
        hashes: The leaves' hashes, in order, 32 bytes each.

    Returns:
        The root hash, 32 bytes; SHA-256 of the empty string when there are no leaves.
    """
    if not hashes:
        return sha256()
    level = list(hashes)
    while len(level) > 1:
        level = _parents(level)
    return level[0]


def audit_path(leaves: Sequence[bytes], index: int) -> list[bytes]:
    """Compute the audit path of a leaf: the hashes that lead from it to the root.

    Args:
        leaves: The leaves' data, in order.
        index: The index of the leaf, from 0.

    Returns:
        The sibling hashes, 32 bytes each, from the lowest level up.

    Raises:
        IndexError: When there is no leaf at `index`.
    """
    if not 0 <= index < len(leaves):
        raise IndexError(f"no leaf {index} among {len(leaves)}")
    level = [leaf_hash(leaf) for leaf in leaves]
    siblings: list[bytes] = []
    while len(level) > 1:
        sibling = index ^ 1
        if sibling < len(level):
            siblings.append(level[sibling])
        level, index = _parents(level), index // 2
    return siblings


def verify_path(leaf: bytes, index: int, count: int, path: Sequence[bytes], root: bytes) -> bool:
    """Verify that a tree with a given root holds a leaf at an index.

    Args:
        leaf: The leaf's data.
        index: The index of the leaf, from 0.
        count: The number of leaves of the tree.
        path: The sibling hashes, from the lowest level up.
        root: The root hash, 32 bytes.

    Returns:
        True when the path leads from the leaf to the root.
    """
    if not 0 <= index < count:
        return False
    value, rest = leaf_hash(leaf), iter(path)
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
    # A node without a sibling moves up unchanged. That splits at the largest power of two.
    parents = [node_hash(level[i], level[i + 1]) for i in range(0, len(level) - 1, 2)]
    if len(level) % 2:
        parents.append(level[-1])
    return parents
