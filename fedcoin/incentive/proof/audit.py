"""Recomputing what was challenged: the voter's part of Proof of Shapley.

A voting rule, not a rule of replay: floating point differs between machines, so counts may differ
by a tolerance, and two honest voters could differ on a count at its very edge. What was voted in
stands.
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
    """What evidence says of single coalitions; row by row."""

    coalitions: Bools
    """(c, n): the grand one, the empty one, then those of the leaves in their order."""
    counts: Ints
    """(c,) right answers claimed."""
    leaves: Ints
    """(c,) the leaf that a row is from; -1 for the first two."""
    places: Ints
    """(c,) its place in the leaf."""


def list_claims(evidence: Evidence, plan: SamplingPlan) -> EvidenceClaims:
    """Everything in ``evidence`` that can be recomputed.

    Utilities that the schedule defines (a whole walk's end, what follows a truncation, EXACT's
    masks of none and all) are left out: the grand and the empty coalition stand for them.
    ``evidence`` is expected to have passed ``verify_evidence`` under ``plan``. What could harm
    whoever looks into evidence that has not is refused here too: WRONG_LEAVES, BAD_UTILITY.
    """
    indices = [leaf.index for leaf in evidence.leaves]
    if any(index >= plan.sample_limit for index in indices):
        raise RefusalError(
            IncentiveCode.WRONG_LEAVES,
            f"leaf {max(indices)} is shown, where a task takes {plan.sample_limit} samples",
            field="evidence.leaves.index",
            limit=str(plan.sample_limit),
        )
    utilities = plan.check_utilities(
        indices,
        [leaf.utilities for leaf in evidence.leaves],
        evidence.grand_count,
        evidence.empty_count,
    )
    free = ~plan.mask_implied(indices, utilities, evidence.grand_count)
    ends = np.array([[True] * plan.clients, [False] * plan.clients])
    rows, places = np.nonzero(free)
    members = [plan.coalitions(index)[free[row]] for row, index in enumerate(indices)]
    return EvidenceClaims(
        np.concatenate([ends, *members]),
        np.concatenate([[evidence.grand_count, evidence.empty_count], utilities[free]]),
        np.concatenate([[-1, -1], np.array(indices, dtype=np.int64)[rows]]),
        np.concatenate([[-1, -1], places]),
    )


def list_audited_coalitions(evidence: Evidence, plan: SamplingPlan) -> Bools:
    """The coalitions to recompute, bool (c, n), in the order in which ``compare`` takes them."""
    return list_claims(evidence, plan).coalitions


def compute_tolerance(evaluation_size: int, per_ten_thousand: int) -> int:
    """By how many right answers a count may differ: the share of the set, rounded up."""
    return -(-evaluation_size * per_ten_thousand // 10_000)


def compare_counts(evidence: Evidence, plan: SamplingPlan, counts: Ints, tolerance: int) -> None:
    """Hold ``counts`` (c,), recomputed for ``coalitions_to_check``, against the evidence.

    Raises ``Refusal`` AUDIT_FAILED that names the first leaf and coalition that differs by more
    than ``tolerance`` right answers.
    """
    claimed = list_claims(evidence, plan)
    wrong = np.flatnonzero(np.abs(claimed.counts - counts) > tolerance)
    if not len(wrong):
        return
    row = int(wrong[0])
    where = {0: "the grand coalition", 1: "the empty coalition"}.get(row) or (
        f"leaf {claimed.leaves[row]}, place {claimed.places[row]}, coalition"
        f" {np.flatnonzero(claimed.coalitions[row]).tolist()}"
    )
    raise RefusalError(
        IncentiveCode.AUDIT_FAILED,
        f"{where}: {claimed.counts[row]} right answers claimed, {counts[row]} recomputed,"
        f" tolerance {tolerance}; {len(wrong)} of {len(counts)} coalitions differ",
        field="evidence.leaves",
        limit=str(tolerance),
    )
