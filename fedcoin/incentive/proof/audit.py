"""Audit: recompute the utilities of the challenged leaves before voting for a block.

The audit decides how a validator votes; replaying the chain does not repeat it. Floating-point
results differ between machines, so that a utility may differ by a tolerance, and
two honest validators can judge a count at the edge of the tolerance differently. What the
validators have voted for stays valid (docs/PROTOCOL.md, section 12).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from fedcoin.data.errors import RefusalError
from fedcoin.incentive.errors import IncentiveCode
from fedcoin.incentive.proof.layouts import Bools, Ints
from fedcoin.incentive.proof.sampling_plan import SamplingPlan
from fedcoin.v1.evidence_pb2 import Evidence


@dataclass(frozen=True, slots=True)
class EvidenceClaims:
    """The utilities that a miner claims in its evidence: C rows, one for each coalition."""

    coalitions: Bools
    """bool (C, n): the grand coalition, the empty one, then those of the leaves in their order."""
    counts: Ints
    """int64 (C,): claimed utilities, in units of the utility."""
    leaves: Ints
    """int64 (C,): the leaf that a row belongs to; -1 for the first two."""
    positions: Ints
    """int64 (C,): the coalition's position in its leaf, from 0; -1 for the first two."""


def list_claims(evidence: Evidence, plan: SamplingPlan) -> EvidenceClaims:
    """List the claimed utilities that an auditor recomputes.

    The utilities of the grand and of the empty coalition come first, once. Utilities of leaves that
    follow from these two without an evaluation are left out (`SamplingPlan.mask_implied`): those of
    the grand and the empty coalition, and those of a walk after its truncation.

    Args:
        evidence: A miner's evidence. It should have passed `verify_evidence` under `plan`; the
            checks here only protect against evidence that has not.
        plan: The miner's plan for the task.

    Returns:
        The claims, in the order of the evidence's leaves.

    Raises:
        RefusalError: WRONG_LEAVES for a leaf that the task does not allow or of the wrong length;
            BAD_UTILITY for a utility below 0, above the largest one, or not the value that the
            schedule defines for it.
    """
    indices = [leaf.index for leaf in evidence.leaves]
    if any(index >= plan.sample_limit for index in indices):
        raise RefusalError(
            IncentiveCode.WRONG_LEAVES,
            f"leaf {max(indices)} is shown; the task allows {plan.sample_limit} samples",
            field="evidence.leaves.index",
            limit=str(plan.sample_limit),
        )
    claimed = [leaf.utilities for leaf in evidence.leaves]
    grand, empty = evidence.grand_count, evidence.empty_count
    utilities = plan.check_utilities(indices, claimed, grand, empty)
    free = ~plan.mask_implied(indices, utilities, grand)
    ends = np.array([[True] * plan.clients, [False] * plan.clients])
    rows, positions = np.nonzero(free)
    members = [plan.coalitions(index)[free[row]] for row, index in enumerate(indices)]
    return EvidenceClaims(
        np.concatenate([ends, *members]),
        np.concatenate([[grand, empty], utilities[free]]),
        np.concatenate([[-1, -1], np.array(indices, dtype=np.int64)[rows]]),
        np.concatenate([[-1, -1], positions]),
    )


def compute_tolerance(evaluation_size: int, per_ten_thousand: int, step: int = 1) -> int:
    """Compute how far a recomputed utility may be from the claimed one.

    For games in which each example counts the same; evaluated models have `Measure.tolerance`.

    Args:
        evaluation_size: Number of examples in the evaluation set.
        per_ten_thousand: The network parameter `utility_tolerance`, in hundredths of a percent of
            the examples.
        step: How far one example may move the utility, `Measure.step`: 1 with the accuracy.

    Returns:
        The largest difference that an audit accepts, in units of the utility: the examples,
        rounded up, times the step.
    """
    return -(-evaluation_size * per_ten_thousand // 10_000) * step


def find_disputed(claims: EvidenceClaims, counts: Ints, tolerance: int) -> Ints:
    """Find the claims that differ by more than the tolerance.

    Args:
        claims: A miner's claims, from `list_claims`.
        counts: Recomputed utilities of `claims.coalitions`, int64 (C,).
        tolerance: The largest difference that is not disputed, in units of the utility.

    Returns:
        The rows of the claims, int64 (d,), the largest difference first.
    """
    differences = np.abs(claims.counts - counts)
    order = np.argsort(-differences, kind="stable")
    return order[: np.count_nonzero(differences > tolerance)]


def compare_counts(claims: EvidenceClaims, counts: Ints, tolerance: int | Ints) -> None:
    """Compare recomputed counts with the claimed ones.

    Args:
        claims: A miner's claims, from `list_claims`.
        counts: Recomputed utilities of `claims.coalitions`, int64 (C,).
        tolerance: The largest accepted difference, in units of the utility; int64 (C,) for one of
            each coalition.

    Raises:
        RefusalError: AUDIT_FAILED when a count differs by more than the tolerance. The message
            names the first leaf and coalition for which it does.
    """
    wrong = np.flatnonzero(np.abs(claims.counts - counts) > tolerance)
    if not len(wrong):
        return
    row = int(wrong[0])
    allowed = int(np.broadcast_to(tolerance, counts.shape)[row])
    subject = {0: "the grand coalition", 1: "the empty coalition"}.get(row) or (
        f"leaf {claims.leaves[row]}, position {claims.positions[row]}, coalition"
        f" {np.flatnonzero(claims.coalitions[row]).tolist()}"
    )
    raise RefusalError(
        IncentiveCode.AUDIT_FAILED,
        f"{subject}: a utility of {claims.counts[row]} claimed, {counts[row]} recomputed,"
        f" tolerance {allowed}; {len(wrong)} of {len(counts)} coalitions differ",
        field="evidence.leaves",
        limit=str(allowed),
    )
