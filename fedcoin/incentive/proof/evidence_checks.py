"""Whether evidence is well formed: everything that can be refused before a hash is computed.

In the order in which ``evidence.verify_evidence`` calls them: counts and lengths, indices, then
the siblings' sums, each against the range that its leaves allow and against what they must share
out. All of it is linear in the evidence, and nothing here trusts a number before it is in range.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from fedcoin.data.errors import RefusalError
from fedcoin.incentive.errors import IncentiveCode
from fedcoin.incentive.proof.layouts import Ints
from fedcoin.incentive.proof.sampling_plan import SamplingPlan
from fedcoin.incentive.proof.sum_tree import HASH_BYTES, Hashes, leaf_spans
from fedcoin.v1.evidence_pb2 import Evidence


def check_counts(evidence: Evidence, plan: SamplingPlan, q: int) -> None:
    """Lengths and counts, before anything is computed."""
    check_length("evidence.root", evidence.root, HASH_BYTES)
    check_vector("evidence.total", evidence.total, least=plan.clients, most=plan.clients)
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
    """That the task takes so many samples."""
    lowest = plan.fixed_samples or 1
    if not lowest <= samples <= plan.sample_limit:
        raise RefusalError(
            IncentiveCode.BAD_SAMPLES,
            f"{samples} samples, where the task takes {lowest} to {plan.sample_limit}",
            field="evidence.samples",
            limit=str(plan.sample_limit),
        )


def check_ends(plan: SamplingPlan, grand: int, empty: int) -> None:
    """That the grand and the empty coalition's counts are possible."""
    highest_empty = 0 if plan.empty_is_zero else plan.evaluation_size
    for name, value, highest in (
        ("grand_count", grand, plan.evaluation_size),
        ("empty_count", empty, highest_empty),
    ):
        if not 0 <= value <= highest:
            raise RefusalError(
                IncentiveCode.BAD_UTILITY,
                f"{name} is {value}, at most {highest} is possible",
                field=f"evidence.{name}",
                limit=str(highest),
            )


def check_indices(evidence: Evidence, indices: Sequence[int]) -> None:
    """That the leaves are the challenged ones, in order."""
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
    """Siblings as arrays (S, 32) and (S, n), once their number, lengths and sums are in order."""
    needed = sum(len(places) for places in missing)
    if len(evidence.siblings) != needed:
        raise RefusalError(
            IncentiveCode.WRONG_SIBLINGS,
            f"{len(evidence.siblings)} siblings are shown, {needed} are needed",
            field="evidence.siblings",
            limit=str(needed),
        )
    for node in evidence.siblings:
        check_length("evidence.siblings.hash", node.hash, HASH_BYTES)
        check_vector("evidence.siblings.sum", node.sum, least=plan.clients, most=plan.clients)
    sums = np.array([list(node.sum) for node in evidence.siblings], dtype=np.int64)
    sums = sums.reshape(needed, plan.clients)
    if needed:
        _check_sums(evidence, plan, missing, sums)
    hashes = np.frombuffer(b"".join(node.hash for node in evidence.siblings), dtype=np.uint8)
    return hashes.reshape(needed, HASH_BYTES), sums


def _check_sums(
    evidence: Evidence, plan: SamplingPlan, missing: list[list[int]], sums: Ints
) -> None:
    groups = [
        leaf_spans(level, np.array(places, dtype=np.int64), evidence.samples)
        for level, places in enumerate(missing)
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
            f" {sums[row, client]} for client {client}, outside {low[row, client]} to"
            f" {high[row, client]}",
            field="evidence.siblings.sum",
            limit=str(high[row, client]),
        )
    # In range now, so adding up over clients cannot overflow.
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


def check_length(name: str, value: bytes, length: int) -> None:
    """That a byte string has its one length."""
    if len(value) != length:
        raise RefusalError(
            IncentiveCode.MALFORMED,
            f"{name} has {len(value)} bytes, not {length}",
            field=name,
            limit=str(length),
        )


def check_vector(name: str, values: Sequence[int], *, least: int = 1, most: int) -> None:
    """That a vector has a number of elements in range."""
    if not least <= len(values) <= most:
        raise RefusalError(
            IncentiveCode.MALFORMED,
            f"{name} has {len(values)} numbers, not {least} to {most}",
            field=name,
            limit=str(most),
        )
