"""The Merkle-sum tree: a root that commits to every sample and to what they add up to.

A leaf's hash is SHA-256(00 || index || utilities || vector), an inner node's SHA-256(01 || left ||
right), where left and right are each hash || count || sum of a child. Both children's sums are
hashed, not only their total, so that no node can be shown with another sum. Indices and counts are
8 bytes, utilities 4, sums 8 (two's complement), big-endian. Nodes pair up level by level from the
left; an odd last node moves up as it is (the shape of RFC 6962).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fedcoin.incentive.proof.layouts import Ints

Hashes = NDArray[np.uint8]

HASH_BYTES = 32
_LEAF = 0
_NODE = 1


def level_widths(samples: int) -> list[int]:
    """How many nodes each level has, from the leaves up to the root."""
    levels = [samples]
    while levels[-1] > 1:
        levels.append((levels[-1] + 1) // 2)
    return levels


def leaf_spans(level: int, places: Ints, samples: int) -> tuple[Ints, Ints]:
    """First leaf and number of leaves below each of ``places`` (S,) of ``level``."""
    first = places << level
    return first, np.minimum(first + (1 << level), samples) - first


def sibling_positions(indices: Sequence[int], samples: int) -> list[list[int]]:
    """Which nodes a multiproof of the rising ``indices`` needs besides them, level by level."""
    missing: list[list[int]] = []
    known = list(indices)
    for width in level_widths(samples)[:-1]:
        held = set(known)
        missing.append(
            [place ^ 1 for place in known if place ^ 1 < width and place ^ 1 not in held]
        )
        known = sorted({place >> 1 for place in known})
    return missing


def leaf_hashes(indices: Ints, utilities: Ints, vectors: Ints) -> Hashes:
    """Hashes (N, 32) of leaves from utilities (N, m) and vectors (N, n)."""
    return _hash_rows(
        _LEAF,
        [_big_endian(indices[:, None], ">u8"), _big_endian(utilities, ">u4"), _wide(vectors)],
    )


def node_hashes(left: tuple[Hashes, Ints, Ints], right: tuple[Hashes, Ints, Ints]) -> Hashes:
    """Hashes (N, 32) of nodes from their children: hashes (N, 32), counts (N,), sums (N, n)."""
    parts: list[Hashes] = []
    for hashes, counts, sums in (left, right):
        parts += [hashes, _big_endian(counts[:, None], ">u8"), _wide(sums)]
    return _hash_rows(_NODE, parts)


@dataclass(frozen=True, slots=True)
class TreeLevel:
    """All nodes of one level, from left to right."""

    hashes: Hashes
    """(width, 32)"""
    sums: Ints
    """(width, n)"""


@dataclass(frozen=True, slots=True)
class SumTree:
    """A whole tree, levels from the leaves to the root."""

    levels: tuple[TreeLevel, ...]

    @property
    def root(self) -> bytes:
        """32 bytes."""
        return bytes(self.levels[-1].hashes[0])

    @property
    def total(self) -> list[int]:
        """The sum of all leaves' vectors."""
        return [int(value) for value in self.levels[-1].sums[0]]

    def siblings(self, indices: Sequence[int]) -> Iterator[tuple[bytes, list[int]]]:
        """Hash and sum of each node of ``missing_places``, in that order."""
        samples = len(self.levels[0].hashes)
        for level, places in zip(self.levels, sibling_positions(indices, samples), strict=False):
            for place in places:
                yield level.hashes[place].tobytes(), level.sums[place].tolist()


def build_sum_tree(utilities: Ints, vectors: Ints) -> SumTree:
    """The tree over leaves 0 to N - 1: utilities (N, m), vectors (N, n), N at least 1."""
    samples = len(utilities)
    hashes = leaf_hashes(np.arange(samples), utilities, vectors)
    sums = vectors
    levels = [TreeLevel(hashes, sums)]
    for depth in range(len(level_widths(samples)) - 1):
        _, counts = leaf_spans(depth, np.arange(len(hashes)), samples)
        even = len(hashes) // 2 * 2
        left = (hashes[0:even:2], counts[0:even:2], sums[0:even:2])
        right = (hashes[1:even:2], counts[1:even:2], sums[1:even:2])
        # Whatever is odd moves up as it is.
        hashes, sums = (
            np.concatenate([node_hashes(left, right), hashes[even:]]),
            np.concatenate([left[2] + right[2], sums[even:]]),
        )
        levels.append(TreeLevel(hashes, sums))
    return SumTree(tuple(levels))


@dataclass(frozen=True, slots=True)
class KnownNodes:
    """Nodes of one level that a verifier knows: places (P,) rising, hashes and sums beside."""

    places: Ints
    hashes: Hashes
    sums: Ints

    def with_nodes(self, places: Ints, hashes: Hashes, sums: Ints) -> KnownNodes:
        """These and the given ones, in order of their places."""
        merged = np.concatenate([self.places, places])
        order = np.argsort(merged, kind="stable")
        return KnownNodes(
            merged[order],
            np.concatenate([self.hashes, hashes])[order],
            np.concatenate([self.sums, sums])[order],
        )

    def parents(self, level: int, samples: int) -> KnownNodes:
        """The level above, when the siblings of all nodes are known too."""
        _, counts = leaf_spans(level, self.places, samples)
        # Only the last node of a level of odd width has no sibling: it moves up as it is.
        alone = len(self.places) % 2
        even = len(self.places) - alone
        pairs = [
            (self.hashes[start:even:2], counts[start:even:2], self.sums[start:even:2])
            for start in (0, 1)
        ]
        return KnownNodes(
            np.concatenate([self.places[0:even:2] >> 1, self.places[even:] >> 1]),
            np.concatenate([node_hashes(pairs[0], pairs[1]), self.hashes[even:]]),
            np.concatenate([pairs[0][2] + pairs[1][2], self.sums[even:]]),
        )


def _big_endian(values: Ints, kind: str) -> Hashes:
    rows = np.ascontiguousarray(values.astype(kind))
    return rows.view(np.uint8).reshape(len(rows), rows.shape[1] * rows.itemsize)


def _wide(values: Ints) -> Hashes:
    return _big_endian(values, ">i8")


def _hash_rows(prefix: int, parts: list[Hashes]) -> Hashes:
    """SHA-256(prefix || the row of each part), row by row."""
    count = len(parts[0])
    rows = np.concatenate([np.full((count, 1), prefix, dtype=np.uint8), *parts], axis=1)
    sha256 = hashlib.sha256
    digests = b"".join([sha256(row).digest() for row in rows])
    return np.frombuffer(digests, dtype=np.uint8).reshape(count, HASH_BYTES)
