"""Checks of evidence that need no hash, in the order in which `verify_evidence` makes them.

First counts and lengths, then the leaves' indices, then the siblings' sums: each against the range
that the leaves below it allow, and against what they must share out. The time is linear in the
size of the evidence, and no number is used before it is known to be in range.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from fedcoin.data.crypto.hashing import HASH_BYTES
from fedcoin.data.errors import RefusalError
from fedcoin.data.field_checks import check_length
from fedcoin.incentive.errors import IncentiveCode
from fedcoin.incentive.proof.layouts import Ints
from fedcoin.incentive.proof.sampling_plan import SamplingPlan
from fedcoin.incentive.proof.sum_tree import Hashes, leaf_spans
from fedcoin.v1.evidence_pb2 import Evidence


def check_counts(evidence: Evidence, plan: SamplingPlan, q: int) -> None:
    """Check the lengths and counts that the other checks rely on.

    Args:
        evidence: A miner's evidence, from an untrusted source.
        plan: The miner's plan for the task.
        q: How many leaves are challenged, at least 1.

    Raises:
        RefusalError: MALFORMED for a root or total of the wrong length; BAD_SAMPLES when the task
            does not allow the number of samples; BAD_UTILITY when the grand or the empty
            coalition's utility is impossible; WRONG_LEAVES when the number of leaves is not that of
            the challenged ones.
    """
    check_length(evidence.root, HASH_BYTES, "evidence.root", code=IncentiveCode.MALFORMED)
    check_vector("evidence.total", evidence.total, min_length=plan.clients, max_length=plan.clients)
    check_samples(plan, evidence.samples)
    check_ends(plan, evidence.grand_count, evidence.empty_count)
    due = min(q, evidence.samples)
    if len(evidence.leaves) != due:
        raise RefusalError(
            IncentiveCode.WRONG_LEAVES,
            f"{len(evidence.leaves)} leaves are shown, {due} were challenged",
            field="evidence.leaves",
            limit=str(due),
        )


def check_samples(plan: SamplingPlan, samples: int) -> None:
    """Check that the task allows a number of samples.

    Args:
        plan: A miner's plan for the task.
        samples: How many leaves the miner claims.

    Raises:
        RefusalError: BAD_SAMPLES when the number is below 1 or above the task's maximum, or under
            EXACT is not the number of leaves.
    """
    lowest = plan.fixed_samples or 1
    if not lowest <= samples <= plan.sample_limit:
        raise RefusalError(
            IncentiveCode.BAD_SAMPLES,
            f"{samples} samples are claimed; the task allows {lowest} to {plan.sample_limit}",
            field="evidence.samples",
            limit=str(plan.sample_limit),
        )


def check_ends(plan: SamplingPlan, grand: int, empty: int) -> None:
    """Check that the utilities of the grand and the empty coalition are possible.

    Args:
        plan: A miner's plan for the task.
        grand: Claimed u(all clients), in units of the utility.
        empty: Claimed u(no client), in units of the utility.

    Raises:
        RefusalError: BAD_UTILITY when one is negative or above the largest one, or when
            `empty` is not 0 under EMPTY_COALITION_ZERO.
    """
    max_empty = 0 if plan.empty_is_zero else plan.max_utility
    for name, value, highest in (
        ("grand_count", grand, plan.max_utility),
        ("empty_count", empty, max_empty),
    ):
        if not 0 <= value <= highest:
            raise RefusalError(
                IncentiveCode.BAD_UTILITY,
                f"{name} is {value}; 0 to {highest} is possible",
                field=f"evidence.{name}",
                limit=str(highest),
            )


def check_indices(evidence: Evidence, indices: Sequence[int]) -> None:
    """Check that the leaves shown are the challenged ones, in ascending order.

    Args:
        evidence: A miner's evidence, with as many leaves as are challenged.
        indices: The challenged leaves, in ascending order.

    Raises:
        RefusalError: WRONG_LEAVES when another leaf is shown.
    """
    for leaf, index in zip(evidence.leaves, indices, strict=True):
        if leaf.index != index:
            raise RefusalError(
                IncentiveCode.WRONG_LEAVES,
                f"leaf {leaf.index} is shown where leaf {index} was challenged",
                field="evidence.leaves.index",
                limit=str(index),
            )


def check_siblings(
    evidence: Evidence, plan: SamplingPlan, missing: list[list[int]]
) -> tuple[Hashes, Ints]:
    """Check the number, lengths and sums of the siblings and turn them into arrays.

    Args:
        evidence: A miner's evidence, from an untrusted source.
        plan: The miner's plan for the task.
        missing: The positions of the siblings, level by level, as `sibling_positions` lists them.

    Returns:
        Hashes, uint8 (G, 32), and sums, int64 (G, n), of the G siblings.

    Raises:
        RefusalError: WRONG_SIBLINGS when their number is wrong, MALFORMED when a hash or sum has
            the wrong length, SUM_OUT_OF_RANGE when no utilities could give a sum,
            SUM_NOT_EFFICIENT when the total of a sum over the clients differs from
            `SamplingPlan.efficiency_sums`.
    """
    needed = sum(len(positions) for positions in missing)
    if len(evidence.siblings) != needed:
        raise RefusalError(
            IncentiveCode.WRONG_SIBLINGS,
            f"{len(evidence.siblings)} siblings are shown, {needed} are needed",
            field="evidence.siblings",
            limit=str(needed),
        )
    n = plan.clients
    if not needed:
        return np.empty((0, HASH_BYTES), dtype=np.uint8), np.empty((0, n), dtype=np.int64)
    for node in evidence.siblings:
        check_length(node.hash, HASH_BYTES, "evidence.siblings.hash", code=IncentiveCode.MALFORMED)
        check_vector("evidence.siblings.sum", node.sum, min_length=n, max_length=n)
    sums = np.array([list(node.sum) for node in evidence.siblings], dtype=np.int64)
    sums = sums.reshape(needed, n)
    _check_sums(evidence, plan, missing, sums)
    hashes = np.frombuffer(b"".join(node.hash for node in evidence.siblings), dtype=np.uint8)
    return hashes.reshape(needed, HASH_BYTES), sums


def _check_sums(
    evidence: Evidence, plan: SamplingPlan, missing: list[list[int]], sums: Ints
) -> None:
    groups = [
        leaf_spans(level, np.array(positions, dtype=np.int64), evidence.samples)
        for level, positions in enumerate(missing)
    ]
    first = np.concatenate([group[0] for group in groups])
    count = np.concatenate([group[1] for group in groups])
    low, high = plan.sum_bounds(first, count, evidence.grand_count, evidence.empty_count)
    outside = np.argwhere((sums < low) | (sums > high))
    if len(outside):
        row, client = outside[0].tolist()
        raise RefusalError(
            IncentiveCode.SUM_OUT_OF_RANGE,
            f"the sibling over leaves {first[row]} to {first[row] + count[row] - 1} sums to"
            f" {sums[row, client]} for client {client}; {low[row, client]} to"
            f" {high[row, client]} is possible",
            field="evidence.siblings.sum",
            limit=str(high[row, client]),
        )
    # All sums are in range here, so that adding them up over the clients cannot overflow.
    due = plan.efficiency_sums(first, count, evidence.grand_count, evidence.empty_count)
    uneven = np.flatnonzero(sums.sum(axis=1) != due)
    if len(uneven):
        row = int(uneven[0])
        raise RefusalError(
            IncentiveCode.SUM_NOT_EFFICIENT,
            f"the sibling over leaves {first[row]} to {first[row] + count[row] - 1} adds up to"
            f" {sums[row].sum()} over the clients, not {due[row]}",
            field="evidence.siblings.sum",
            limit=str(due[row]),
        )


def check_vector(name: str, values: Sequence[int], *, min_length: int = 1, max_length: int) -> None:
    """Check the number of elements of a vector.

    Args:
        name: The name of the field that holds the vector, for the refusal.
        values: The vector's elements, which may be of any value.
        min_length: The smallest number of elements allowed.
        max_length: The largest number of elements allowed.

    Raises:
        RefusalError: MALFORMED when the vector is shorter or longer.
    """
    if not min_length <= len(values) <= max_length:
        raise RefusalError(
            IncentiveCode.MALFORMED,
            f"{name} has {len(values)} numbers; {min_length} to {max_length} are allowed",
            field=name,
            limit=str(max_length),
        )
