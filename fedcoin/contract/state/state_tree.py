"""The Merkle tree over the whole state, whose root is `app_hash`.

An entry hashes to SHA-256(02 || key length, 2 bytes, big-endian || key || value). It belongs to
one of 1,024 buckets, by the first ten bits of SHA-256(key). A bucket is the concatenation of its
entries' hashes in the order of their keys, and the root is the RFC 6962 Merkle root over the
buckets: a balanced tree of ten levels. So the cost of a block grows with what it changes, not with
the state, and the proof of an entry is its bucket and ten hashes.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Final

from fedcoin.data.crypto import merkle

_DEPTH: Final = 10
"""The number of levels above the buckets."""

NUM_BUCKETS: Final = 1 << _DEPTH
"""The number of buckets: 1,024."""

_HASH_BYTES: Final = 32


def entry_hash(key: bytes, value: bytes) -> bytes:
    """Hash an entry: SHA-256(02 || key length, 2 bytes, big-endian || key || value).

    Args:
        key: The entry's key, below 65,536 bytes.
        value: The entry's value.

    Returns:
        The hash, 32 bytes.
    """
    return sha256(b"\2" + len(key).to_bytes(2, "big") + key + value).digest()


def bucket_index(key: bytes) -> int:
    """Compute the bucket that a key belongs to: the first ten bits of its SHA-256.

    Args:
        key: The entry's key.

    Returns:
        The index of the bucket, 0 to 1,023.
    """
    digest = sha256(key).digest()
    return (digest[0] << 8 | digest[1]) >> (16 - _DEPTH)


@dataclass(slots=True)
class _Bucket:
    """Keys in rising order, and the hashes of their entries at the same indices."""

    keys: list[bytes] = field(default_factory=list)
    hashes: list[bytes] = field(default_factory=list)

    def copy(self) -> _Bucket:
        return _Bucket(self.keys.copy(), self.hashes.copy())

    def __contains__(self, key: bytes) -> bool:
        index = bisect_left(self.keys, key)
        return index < len(self.keys) and self.keys[index] == key

    def set(self, key: bytes, value: bytes | None) -> None:
        index = bisect_left(self.keys, key)
        known = index < len(self.keys) and self.keys[index] == key
        if value is None:
            if known:
                del self.keys[index], self.hashes[index]
        elif known:
            self.hashes[index] = entry_hash(key, value)
        else:
            self.keys.insert(index, key)
            self.hashes.insert(index, entry_hash(key, value))

    def leaf(self) -> bytes:
        return merkle.leaf_hash(self.content())

    def content(self) -> bytes:
        return b"".join(self.hashes)


@dataclass(frozen=True, slots=True)
class TreeUpdate:
    """The result of applying changes to a tree: the new root, and the parts that differ."""

    root: bytes
    """The new root, 32 bytes."""
    buckets: Mapping[int, _Bucket] = field(repr=False)
    nodes: tuple[Mapping[int, bytes], ...] = field(repr=False)


@dataclass(frozen=True, slots=True)
class EntryProof:
    """Proof that an entry is part of a state: its bucket, and the path from there to the root."""

    bucket: bytes
    """The hashes of the bucket's entries, 32 bytes each, in the order of their keys."""
    path: tuple[bytes, ...]
    """Ten hashes of 32 bytes, from the lowest level up."""


def verify_entry(key: bytes, value: bytes, proof: EntryProof, root: bytes) -> bool:
    """Verify that an entry is part of the state with a given root.

    Args:
        key: The entry's key.
        value: The entry's value.
        proof: The entry's bucket, and the path from there to the root.
        root: The root hash, 32 bytes: a header's `app_hash`.

    Returns:
        True when the proof is valid.
    """
    wanted = entry_hash(key, value)
    starts = range(0, len(proof.bucket), _HASH_BYTES)
    return any(proof.bucket[i : i + _HASH_BYTES] == wanted for i in starts) and merkle.verify_path(
        proof.bucket, bucket_index(key), NUM_BUCKETS, proof.path, root
    )


class StateTree:
    """The Merkle tree over the state after the latest block, whose root is `app_hash`."""

    def __init__(self) -> None:
        """Make the tree over an empty state."""
        # No bucket is ever changed in its place, so all that are empty can be one.
        self._buckets = [_Bucket()] * NUM_BUCKETS
        self._levels = _levels_over(self._buckets[0].leaf())

    @classmethod
    def load(cls, entries: Iterable[tuple[bytes, bytes]]) -> StateTree:
        """Build the tree over a state.

        Args:
            entries: Keys and values in any order, each key once.

        Returns:
            A tree with all buckets and nodes computed.
        """
        buckets: defaultdict[int, _Bucket] = defaultdict(_Bucket)
        for key, value in entries:
            buckets[bucket_index(key)].set(key, value)
        tree = cls()
        tree.adopt(tree._with_buckets(buckets))
        return tree

    def copy(self) -> StateTree:
        """Copy the tree; what one of the two adopts does not change the other."""
        twin = StateTree.__new__(StateTree)
        twin._buckets = self._buckets.copy()
        twin._levels = [level.copy() for level in self._levels]
        return twin

    @property
    def root(self) -> bytes:
        """The root hash, 32 bytes."""
        return self._levels[-1][0]

    def update(self, changes: Mapping[bytes, bytes | None]) -> TreeUpdate:
        """Compute the result of some changes without applying them to the tree.

        Args:
            changes: New values by key; None for entries that are deleted.

        Returns:
            The new root and the parts that differ.
        """
        buckets: dict[int, _Bucket] = {}
        for key, value in changes.items():
            index = bucket_index(key)
            if index not in buckets:
                buckets[index] = self._buckets[index].copy()
            buckets[index].set(key, value)
        return self._with_buckets(buckets)

    def adopt(self, update: TreeUpdate) -> None:
        """Apply an update.

        Args:
            update: What `update` returned for this tree as it is now.
        """
        for index, bucket in update.buckets.items():
            self._buckets[index] = bucket
        for level, nodes in zip(self._levels, update.nodes, strict=True):
            for index, value in nodes.items():
                level[index] = value

    def prove(self, key: bytes) -> EntryProof | None:
        """Prove an entry against the root.

        Args:
            key: The entry's key.

        Returns:
            The proof, or None when there is no such entry.
        """
        index = bucket_index(key)
        if key not in self._buckets[index]:
            return None
        path = tuple(self._levels[i][(index >> i) ^ 1] for i in range(_DEPTH))
        return EntryProof(self._buckets[index].content(), path)

    def _with_buckets(self, buckets: Mapping[int, _Bucket]) -> TreeUpdate:
        """Compute the result of replacing some buckets."""
        nodes = [{index: bucket.leaf() for index, bucket in buckets.items()}]
        for level in self._levels[:-1]:
            nodes.append(_parents(level, nodes[-1]))
        return TreeUpdate(nodes[-1].get(0, self.root), buckets, tuple(nodes))


def _levels_over(leaf: bytes) -> list[list[bytes]]:
    """List the levels of a tree whose leaves all have one hash, from the leaves to the root."""
    levels = [[leaf] * NUM_BUCKETS]
    while len(levels[-1]) > 1:
        node = levels[-1][0]
        levels.append([merkle.node_hash(node, node)] * (len(levels[-1]) // 2))
    return levels


def _parents(level: list[bytes], changed: Mapping[int, bytes]) -> dict[int, bytes]:
    """Compute the nodes above the changed nodes of a level."""
    parents = {}
    for parent in {index >> 1 for index in changed}:
        left, right = 2 * parent, 2 * parent + 1
        parents[parent] = merkle.node_hash(
            changed.get(left, level[left]), changed.get(right, level[right])
        )
    return parents
