"""The Merkle-sum tree: one root commits to every sample and to the sum of all vectors.

Hashes (numbers are big-endian; index and count have 8 bytes, a utility 4, a sum 8 in two's
complement):

    leaf   SHA-256(00 || index || utilities || vector)
    node   SHA-256(01 || hash || count || sum of the left child
                      || hash || count || sum of the right child)

where count is the number of leaves below a child and sum the sum of their vectors. The sums of
both children are hashed, not only their total, so that no node can be shown with another sum.
Nodes pair up level by level from the left, and a last node without a neighbour moves up unchanged:
the tree has the shape of RFC 6962, section 2.1.

Arrays: hashes are uint8 (N, 32), counts int64 (N,), sums int64 (N, n), for N nodes and n clients.
A position counts the nodes of a level from the left, from 0; level 0 holds the leaves.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fedcoin.data.crypto.hashing import HASH_BYTES
from fedcoin.incentive.proof.layouts import Ints

Hashes = NDArray[np.uint8]
"""SHA-256 digests, one a row: (N, 32)."""

_LEAF_PREFIX = 0
_NODE_PREFIX = 1


def level_widths(samples: int) -> list[int]:
    """Count the nodes of each level.

    Args:
        samples: Number of leaves, at least 1.

    Returns:
        The widths from the leaves up to the root; the last one is 1.
    """
    widths = [samples]
    while widths[-1] > 1:
        widths.append((widths[-1] + 1) // 2)
    return widths


def leaf_spans(level: int, positions: Ints, samples: int) -> tuple[Ints, Ints]:
    """Compute which leaves are below nodes of one level.

    Args:
        level: The level, 0 for the leaves.
        positions: Positions of G nodes of that level, int64 (G,).
        samples: Number of leaves of the tree.

    Returns:
        The first leaf below each node and the number of leaves below it, (G,) each.
    """
    first = positions << level
    return first, np.minimum(first + (1 << level), samples) - first


def sibling_positions(indices: Sequence[int], samples: int) -> list[list[int]]:
    """List the positions of the nodes that are needed to compute the root from some leaves.

    Args:
        indices: The leaves shown, in ascending order.
        samples: Number of leaves of the tree.

    Returns:
        For each level below the root, from the leaves up, the positions of the missing nodes in
        ascending order.
    """
    missing: list[list[int]] = []
    known = list(indices)
    for width in level_widths(samples)[:-1]:
        present = set(known)
        missing.append(
            [
                position ^ 1
                for position in known
                if position ^ 1 < width and position ^ 1 not in present
            ]
        )
        known = sorted({position >> 1 for position in known})
    return missing


def leaf_hashes(indices: Ints, utilities: Ints, vectors: Ints) -> Hashes:
    """Hash leaves.

    Args:
        indices: The leaves' indices, int64 (N,).
        utilities: The utilities of each leaf's m coalitions, in units of the utility, int64 (N, m),
            0 to 2**32 - 1.
        vectors: What each leaf contributes to the n clients' values, int64 (N, n).

    Returns:
        The hashes, (N, 32).
    """
    return _hash_rows(
        _LEAF_PREFIX,
        [_big_endian(indices[:, None], ">u8"), _big_endian(utilities, ">u4"), _sum_bytes(vectors)],
    )


def node_hashes(left: tuple[Hashes, Ints, Ints], right: tuple[Hashes, Ints, Ints]) -> Hashes:
    """Hash nodes from their children.

    Args:
        left: Hashes (N, 32), counts (N,) and sums (N, n) of the left children.
        right: Hashes (N, 32), counts (N,) and sums (N, n) of the right children.

    Returns:
        The hashes, (N, 32).
    """
    parts: list[Hashes] = []
    for hashes, counts, sums in (left, right):
        parts += [hashes, _big_endian(counts[:, None], ">u8"), _sum_bytes(sums)]
    return _hash_rows(_NODE_PREFIX, parts)


@dataclass(frozen=True, slots=True)
class TreeLevel:
    """All nodes of one level, from left to right."""

    hashes: Hashes
    """The nodes' hashes, uint8 (width, 32)."""
    sums: Ints
    """The nodes' sums, int64 (width, n)."""

    def parents(self, level: int, samples: int) -> TreeLevel:
        """Compute the level above.

        Args:
            level: The number of this level, 0 for the leaves.
            samples: Number of leaves of the tree.

        Returns:
            The parents of all nodes.
        """
        _, counts = leaf_spans(level, np.arange(len(self.hashes)), samples)
        return TreeLevel(*_pair_up(self.hashes, counts, self.sums))


@dataclass(frozen=True, slots=True)
class SumTree:
    """A complete Merkle-sum tree: the hashes and sums of all nodes."""

    levels: tuple[TreeLevel, ...]
    """The levels from the leaves up to the root."""

    @property
    def root(self) -> bytes:
        """The root's hash, 32 bytes."""
        return bytes(self.levels[-1].hashes[0])

    @property
    def total(self) -> list[int]:
        """The sum of all leaves' vectors, n integers."""
        return [int(value) for value in self.levels[-1].sums[0]]

    def siblings(self, indices: Sequence[int]) -> Iterator[tuple[bytes, list[int]]]:
        """List the nodes with which a verifier can compute the root from some leaves.

        Args:
            indices: The leaves that the verifier gets, in ascending order.

        Yields:
            Hash (32 bytes) and sum (n integers) of each node, in the order of
            `sibling_positions`: level by level from the leaves up, from left to right.
        """
        samples = len(self.levels[0].hashes)
        missing = sibling_positions(indices, samples)
        for level, positions in zip(self.levels, missing, strict=False):
            for position in positions:
                yield level.hashes[position].tobytes(), level.sums[position].tolist()


def build_sum_tree(utilities: Ints, vectors: Ints) -> SumTree:
    """Build the tree over the leaves 0 to N - 1.

    Args:
        utilities: The utilities of each leaf's m coalitions, in units of the utility, int64 (N, m),
            0 to 2**32 - 1; N at least 1.
        vectors: What each leaf contributes to the n clients' values, int64 (N, n).

    Returns:
        The tree, all of whose nodes are in memory.
    """
    samples = len(utilities)
    levels = [TreeLevel(leaf_hashes(np.arange(samples), utilities, vectors), vectors)]
    for level in range(len(level_widths(samples)) - 1):
        levels.append(levels[-1].parents(level, samples))
    return SumTree(tuple(levels))


@dataclass(frozen=True, slots=True)
class KnownNodes:
    """The nodes of one level that a verifier knows, P of them."""

    positions: Ints
    """The nodes' positions in the level, from 0, int64 (P,), ascending."""
    hashes: Hashes
    """The nodes' hashes, uint8 (P, 32)."""
    sums: Ints
    """The nodes' sums, int64 (P, n)."""

    def with_nodes(self, positions: Ints, hashes: Hashes, sums: Ints) -> KnownNodes:
        """Add nodes of the same level.

        Args:
            positions: Positions of Q nodes, int64 (Q,), none of them known.
            hashes: The new nodes' hashes, (Q, 32).
            sums: The new nodes' sums, int64 (Q, n).

        Returns:
            All P + Q nodes in the order of their positions.
        """
        merged = np.concatenate([self.positions, positions])
        order = np.argsort(merged, kind="stable")
        return KnownNodes(
            merged[order],
            np.concatenate([self.hashes, hashes])[order],
            np.concatenate([self.sums, sums])[order],
        )

    def parents(self, level: int, samples: int) -> KnownNodes:
        """Compute the parents of all nodes; the siblings of all nodes must be known.

        Args:
            level: The number of this level, 0 for the leaves.
            samples: Number of leaves of the tree.

        Returns:
            The known nodes of the level above.
        """
        _, counts = leaf_spans(level, self.positions, samples)
        return KnownNodes(self.positions[::2] >> 1, *_pair_up(self.hashes, counts, self.sums))


def _pair_up(hashes: Hashes, counts: Ints, sums: Ints) -> tuple[Hashes, Ints]:
    """Hash and add neighbours; a last node without a neighbour moves up unchanged."""
    even = len(hashes) // 2 * 2
    left = (hashes[0:even:2], counts[0:even:2], sums[0:even:2])
    right = (hashes[1:even:2], counts[1:even:2], sums[1:even:2])
    return (
        np.concatenate([node_hashes(left, right), hashes[even:]]),
        np.concatenate([left[2] + right[2], sums[even:]]),
    )


def _big_endian(values: Ints, dtype: str) -> Hashes:
    rows = np.ascontiguousarray(values.astype(dtype))
    return rows.view(np.uint8).reshape(len(rows), rows.shape[1] * rows.itemsize)


def _sum_bytes(sums: Ints) -> Hashes:
    return _big_endian(sums, ">i8")


def _hash_rows(prefix: int, parts: list[Hashes]) -> Hashes:
    """Hash row by row: SHA-256(prefix || the row of each part)."""
    count = len(parts[0])
    rows = np.concatenate([np.full((count, 1), prefix, dtype=np.uint8), *parts], axis=1)
    sha256 = hashlib.sha256
    digests = b"".join([sha256(row).digest() for row in rows])
    return np.frombuffer(digests, dtype=np.uint8).reshape(count, HASH_BYTES)
