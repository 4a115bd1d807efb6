"""The hash over the whole state, kept up to date from block to block.

An entry hashes to SHA-256(02 || key length, 2 bytes, big-endian || key || value). It lies in one
of 1,024 buckets, by the first ten bits of SHA-256(key). A bucket is the concatenation of its
entries' hashes in the order of their keys, and the root is the RFC 6962 Merkle root over the
buckets: a balanced tree of ten levels. So a block costs time in proportion to what it changes,
and a proof of one entry is its bucket and ten hashes.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Final

from fedcoin.data.crypto import merkle

DEPTH: Final = 10
NUM_BUCKETS: Final = 1 << DEPTH
_HASH_BYTES: Final = 32


def entry_hash(key: bytes, value: bytes) -> bytes:
    """SHA-256(02 || key length, 2 bytes, big-endian || key || value)."""
    return sha256(b"\2" + len(key).to_bytes(2, "big") + key + value).digest()


def bucket_index(key: bytes) -> int:
    """In which bucket a key lies: the first ten bits of its SHA-256."""
    digest = sha256(key).digest()
    return (digest[0] << 8 | digest[1]) >> (16 - DEPTH)


@dataclass(slots=True)
class _Bucket:
    """Keys in rising order, and their entries' hashes in the same places."""

    keys: list[bytes] = field(default_factory=list)
    hashes: list[bytes] = field(default_factory=list)

    def copy(self) -> _Bucket:
        return _Bucket(self.keys.copy(), self.hashes.copy())

    def __contains__(self, key: bytes) -> bool:
        place = bisect_left(self.keys, key)
        return place < len(self.keys) and self.keys[place] == key

    def set(self, key: bytes, value: bytes | None) -> None:
        place = bisect_left(self.keys, key)
        known = place < len(self.keys) and self.keys[place] == key
        if value is None:
            if known:
                del self.keys[place], self.hashes[place]
        elif known:
            self.hashes[place] = entry_hash(key, value)
        else:
            self.keys.insert(place, key)
            self.hashes.insert(place, entry_hash(key, value))

    def leaf(self) -> bytes:
        return merkle.leaf_hash(self.content())

    def content(self) -> bytes:
        return b"".join(self.hashes)


@dataclass(frozen=True, slots=True)
class TreeUpdate:
    """What some changes would make of a tree: its root, and the parts that differ."""

    root: bytes
    buckets: Mapping[int, _Bucket] = field(repr=False)
    nodes: tuple[Mapping[int, bytes], ...] = field(repr=False)


@dataclass(frozen=True, slots=True)
class EntryProof:
    """That an entry is part of a state: the bucket it lies in, and the path from there."""

    bucket: bytes
    """The hashes of the bucket's entries, 32 bytes each, in the order of their keys."""
    path: tuple[bytes, ...]
    """Ten hashes, from below."""


def verify_entry(key: bytes, value: bytes, proof: EntryProof, root: bytes) -> bool:
    """Is this entry part of the state with this root?"""
    wanted = entry_hash(key, value)
    held = range(0, len(proof.bucket), _HASH_BYTES)
    return any(proof.bucket[i : i + _HASH_BYTES] == wanted for i in held) and merkle.verify_path(
        proof.bucket, bucket_index(key), NUM_BUCKETS, proof.path, root
    )


class StateTree:
    """The tree over the state after the latest block."""

    def __init__(self) -> None:
        self._buckets = [_Bucket() for _ in range(NUM_BUCKETS)]
        self._levels: list[list[bytes]] = []
        self._hash_all()

    @classmethod
    def load(cls, entries: Iterable[tuple[bytes, bytes]]) -> StateTree:
        """The tree over entries in any order, each key once."""
        tree = cls()
        for key, value in entries:
            tree._buckets[bucket_index(key)].set(key, value)
        tree._hash_all()
        return tree

    @property
    def root(self) -> bytes:
        """32 bytes."""
        return self._levels[-1][0]

    def update(self, changes: Mapping[bytes, bytes | None]) -> TreeUpdate:
        """What the tree would become; None removes a key. The tree stays as it is."""
        buckets: dict[int, _Bucket] = {}
        for key, value in changes.items():
            index = bucket_index(key)
            if index not in buckets:
                buckets[index] = self._buckets[index].copy()
            buckets[index].set(key, value)
        nodes = [{index: bucket.leaf() for index, bucket in buckets.items()}]
        for level in self._levels[:-1]:
            nodes.append(_parents(level, nodes[-1]))
        return TreeUpdate(nodes[-1].get(0, self.root), buckets, tuple(nodes))

    def adopt(self, update: TreeUpdate) -> None:
        """Become what `update` says; it must have been made from this very tree."""
        for index, bucket in update.buckets.items():
            self._buckets[index] = bucket
        for level, nodes in zip(self._levels, update.nodes, strict=True):
            for index, value in nodes.items():
                level[index] = value

    def apply(self, changes: Mapping[bytes, bytes | None]) -> None:
        """Take changes in; None removes a key."""
        self.adopt(self.update(changes))

    def prove(self, key: bytes) -> EntryProof | None:
        """The proof of a key's value, or None when it is not in the state."""
        index = bucket_index(key)
        if key not in self._buckets[index]:
            return None
        path = tuple(self._levels[i][(index >> i) ^ 1] for i in range(DEPTH))
        return EntryProof(self._buckets[index].content(), path)

    def _hash_all(self) -> None:
        level = [bucket.leaf() for bucket in self._buckets]
        self._levels = [level]
        while len(level) > 1:
            level = [merkle.node_hash(*level[i : i + 2]) for i in range(0, len(level), 2)]
            self._levels.append(level)


def _parents(level: list[bytes], changed: Mapping[int, bytes]) -> dict[int, bytes]:
    """The nodes above the changed ones of a level."""
    parents = {}
    for parent in {index >> 1 for index in changed}:
        left, right = 2 * parent, 2 * parent + 1
        parents[parent] = merkle.node_hash(
            changed.get(left, level[left]), changed.get(right, level[right])
        )
    return parents
