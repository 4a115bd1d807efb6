"""Verify evidence that shows all of a few walks, without arrays.

To verify one walk of one client takes `evidence.verify_evidence` a hundred calls of NumPy, and a
block may hold 6,000 such answers. What is verified here would be accepted there, too; what is not
is for the other code to look at, which says what is wrong with it.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Sequence
from itertools import pairwise
from operator import add
from typing import Final, NamedTuple

from fedcoin.incentive.proof.sampling_plan import SamplingPlan
from fedcoin.incentive.proof.walk_layout import WalkLayout
from fedcoin.v1.evidence_pb2 import Evidence

_MAX_UTILITIES: Final = 512
"""For more utilities, NumPy is faster."""


class _Node(NamedTuple):
    hash: bytes
    leaves: int
    sums: Sequence[int]


def is_plainly_valid(evidence: Evidence, plan: SamplingPlan, q: int) -> bool:
    """Tell whether evidence shows all of a few walks, and these lead to its root and total.

    Args:
        evidence: A miner's evidence that passed `evidence_checks.check_counts`.
        plan: The miner's plan for the task.
        q: How many leaves are challenged, at least 1.

    Returns:
        True when it is valid; False when it is not, or shows anything else.
    """
    layout, samples = plan.layout, evidence.samples
    is_small = samples <= q and samples * plan.clients <= _MAX_UTILITIES
    if not is_small or not isinstance(layout, WalkLayout) or evidence.siblings:
        return False
    nodes = []
    for index, leaf in enumerate(evidence.leaves):
        row = list(leaf.utilities)
        if leaf.index != index or not _may_be_claimed(row, evidence.grand_count, plan):
            return False
        vector = [0] * len(row)
        for client, (before, after) in zip(
            layout.order(index), pairwise([evidence.empty_count, *row]), strict=True
        ):
            vector[client] = after - before
        nodes.append(_Node(_hash_leaf(index, row, vector), 1, vector))
    root = _fold(nodes)
    return root.hash == evidence.root and list(root.sums) == list(evidence.total)


def _may_be_claimed(row: list[int], grand: int, plan: SamplingPlan) -> bool:
    """Tell whether the utilities of a walk are in range, and those after its end are `grand`."""
    if len(row) != plan.clients or row[-1] != grand:
        return False
    if min(row) < 0 or max(row) > plan.max_utility:
        return False
    if not plan.truncation:
        return True
    last = len(row) - 1
    end = next((i for i in range(last) if abs(row[i] - grand) <= plan.truncation), last)
    return row[end + 1 :].count(grand) == last - end


def _hash_leaf(index: int, row: list[int], vector: list[int]) -> bytes:
    return hashlib.sha256(
        struct.pack(f">BQ{len(row)}I{len(vector)}q", 0, index, *row, *vector)
    ).digest()


def _fold(nodes: list[_Node]) -> _Node:
    """Hash and add neighbours, level by level; a last node without a neighbour moves up."""
    while len(nodes) > 1:
        pairs = zip(nodes[::2], nodes[1::2], strict=False)
        parents = [_parent(left, right) for left, right in pairs]
        nodes = parents + nodes[len(parents) * 2 :]
    return nodes[0]


def _parent(left: _Node, right: _Node) -> _Node:
    content = b"\1" + b"".join(
        struct.pack(f">32sQ{len(node.sums)}q", node.hash, node.leaves, *node.sums)
        for node in (left, right)
    )
    sums = list(map(add, left.sums, right.sums))
    return _Node(hashlib.sha256(content).digest(), left.leaves + right.leaves, sums)
