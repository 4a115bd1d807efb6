"""Audits: honest evidence passes, and a forger is caught as often as the challenge promises."""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from fedcoin.data.errors import RefusalError
from fedcoin.incentive.errors import IncentiveCode
from fedcoin.incentive.proof.audit import (
    compare_counts,
    compute_tolerance,
    list_claims,
)
from fedcoin.incentive.proof.challenge import draw_challenged_leaves
from fedcoin.incentive.proof.evidence import build_evidence_tree, verify_evidence
from fedcoin.testing.measurements.audit_share import compute_audit_percent, find_min_samples
from fedcoin.v1 import task_pb2
from fedcoin.v1.evidence_pb2 import Evidence
from tests.support.mined_samples import CHALLENGE, Mined, make_plan, mine, right_answers

EXACT = task_pb2.SCHEDULE_EXACT
PERMUTATION = task_pb2.SCHEDULE_PERMUTATION
ANTITHETIC = task_pb2.SCHEDULE_ANTITHETIC


@pytest.mark.parametrize("clients", [1, 2, 6, 8])
@pytest.mark.parametrize("schedule", [EXACT, PERMUTATION, ANTITHETIC])
def test_honest_evidence_passes_with_no_tolerance(schedule: int, clients: int) -> None:
    mined = mine(make_plan(schedule, clients), samples=30)
    tree = mined.tree()
    evidence = tree.prove(
        draw_challenged_leaves(CHALLENGE, mined.plan.public_key, tree.samples, 10)
    )
    claims = list_claims(evidence, mined.plan)
    rows = claims.coalitions
    assert rows[0].all()
    assert not rows[1].any()
    # Only the first two rows are the grand and the empty coalition.
    assert not rows[2:].all(axis=1).any()
    assert rows[2:].any(axis=1).all()
    counts = right_answers(rows, mined.plan.evaluation_size)
    compare_counts(claims, counts, 0)


def test_utilities_after_a_truncation_are_not_recomputed() -> None:
    mined = mine(make_plan(PERMUTATION, 8, truncation=40), samples=30)
    whole = mine(make_plan(PERMUTATION, 8), samples=30)
    rows = [
        len(list_claims(each.tree().prove(range(30)), each.plan).coalitions)
        for each in (mined, whole)
    ]
    assert rows[0] < rows[1] == 2 + 30 * 7


@pytest.mark.parametrize(("row", "named"), [(0, "grand"), (1, "empty"), (5, "leaf")])
def test_a_count_beyond_the_tolerance_is_named(row: int, named: str) -> None:
    mined = mine(make_plan(PERMUTATION, 6), samples=30)
    evidence = mined.tree().prove(range(0, 30, 3))
    claimed = list_claims(evidence, mined.plan)
    for sign in (1, -1):
        counts = claimed.counts.copy()
        counts[row] += sign * 2
        compare_counts(claimed, counts, 2)
        with pytest.raises(RefusalError) as refused:
            compare_counts(claimed, counts, 1)
        assert refused.value.code is IncentiveCode.AUDIT_FAILED
        assert named in refused.value.message
        if row > 1:
            assert f"leaf {claimed.leaves[row]}, position {claimed.positions[row]}" in str(
                refused.value
            )
            assert str(np.flatnonzero(claimed.coalitions[row]).tolist()) in str(refused.value)


@pytest.mark.parametrize(
    ("index", "utilities", "code"),
    [
        (2**64 - 1, [1, 2, 3, 4, 250], IncentiveCode.WRONG_LEAVES),
        (1_000, [1, 2, 3, 4, 250], IncentiveCode.WRONG_LEAVES),
        (5, [1, 2], IncentiveCode.WRONG_LEAVES),
        (5, [1, 2, 3, 400, 250], IncentiveCode.BAD_UTILITY),
        (5, [1, 2, 3, 4, 249], IncentiveCode.BAD_UTILITY),
    ],
)
def test_unverified_evidence_is_refused(
    index: int, utilities: list[int], code: IncentiveCode
) -> None:
    evidence = Evidence(grand_count=250)
    evidence.leaves.add(index=index, utilities=utilities)
    with pytest.raises(RefusalError) as refused:
        list_claims(evidence, make_plan(PERMUTATION, 5))
    assert refused.value.code is code
    if index >= 64:
        with pytest.raises(RefusalError):
            list_claims(evidence, make_plan(EXACT, 5))


def test_evidence_without_leaves_has_its_ends() -> None:
    for schedule in (EXACT, PERMUTATION, ANTITHETIC):
        rows = list_claims(Evidence(), make_plan(schedule, 5)).coalitions
        assert rows.tolist() == [[True] * 5, [False] * 5]


def test_tolerance_is_rounded_up() -> None:
    assert compute_tolerance(10_000, 2) == 2
    assert compute_tolerance(10_001, 2) == 3
    assert compute_tolerance(360, 2) == 1
    assert compute_tolerance(360, 0) == 0


def is_caught(mined: Mined, forged: NDArray[Any], trial: int, q: int) -> bool:
    """Tell whether the audit catches a miner that replaced the utilities of some leaves."""
    plan, samples = mined.plan, len(mined.utilities)
    rows = mined.utilities.copy()
    rows[forged, 0] = plan.evaluation_size - rows[forged, 0] + 5
    rows = np.clip(rows, 0, plan.evaluation_size)
    tree = build_evidence_tree(plan, rows, mined.grand, mined.empty)
    challenge = hashlib.sha256(b"trial %d" % trial).digest()
    evidence = tree.prove(draw_challenged_leaves(challenge, plan.public_key, samples, q))
    verify_evidence(evidence, plan, challenge, q)
    honest = plan.fill_implied(range(samples), mined.utilities, mined.grand, mined.empty)
    free = [~plan.mask_implied([leaf.index], honest[[leaf.index]], mined.grand)[0]
            for leaf in evidence.leaves]  # fmt: skip
    counts = [honest[leaf.index][mask] for leaf, mask in zip(evidence.leaves, free, strict=True)]
    recomputed = np.concatenate([[mined.grand, mined.empty], *counts])
    claims = list_claims(evidence, plan)
    if (claims.counts == recomputed).all():
        compare_counts(claims, recomputed, 1)
        return False
    with pytest.raises(RefusalError) as refused:
        compare_counts(claims, recomputed, 1)
    return refused.value.code is IncentiveCode.AUDIT_FAILED


@pytest.mark.parametrize(
    ("schedule", "fraction", "q"),
    [
        (PERMUTATION, 0.05, 20),
        (ANTITHETIC, 0.1, 44),
        pytest.param(PERMUTATION, 0.02, 20, marks=pytest.mark.slow),
        pytest.param(PERMUTATION, 0.1, 20, marks=pytest.mark.slow),
        pytest.param(PERMUTATION, 0.1, 44, marks=pytest.mark.slow),
    ],
)
def test_a_forger_is_caught_as_often_as_promised(schedule: int, fraction: float, q: int) -> None:
    """The forger changes a single utility of each forged leaf."""
    mined = mine(make_plan(schedule, 3), samples=400)
    rng = np.random.default_rng(11)
    trials = 300
    hits = sum(
        is_caught(mined, rng.choice(400, size=int(400 * fraction), replace=False), trial, q)
        for trial in range(trials)
    )
    promised = 1 - (1 - fraction) ** q
    spread = (promised * (1 - promised) / trials) ** 0.5
    # Drawing without replacement catches slightly more often.
    assert hits / trials >= promised - 3 * spread
    assert hits / trials <= promised + 3 * spread + 0.02


@pytest.mark.parametrize(("clients", "min_samples"), [(20, 4_191), (50, 4_317), (100, 4_359)])
def test_number_of_samples_from_which_an_audit_costs_under_a_hundredth_of_mining(
    clients: int, min_samples: int
) -> None:
    """44 leaves of N are audited, all but the last coalition of each (docs/BENCHMARKS.md)."""
    plan = make_plan(ANTITHETIC, clients, size=100, max_samples=5_000)
    assert find_min_samples(plan, 1.0, 44) == min_samples
    assert compute_audit_percent(plan, min_samples - 1, 44) >= 1
    assert compute_audit_percent(plan, min_samples, 44) < 1
    walks = np.random.default_rng(1).integers(10, 90, size=(min_samples, clients))
    tree = build_evidence_tree(plan, walks, 95, 5)
    evidence = tree.prove(draw_challenged_leaves(CHALLENGE, plan.public_key, min_samples, 44))
    audited = len(list_claims(evidence, plan).coalitions)
    share = compute_audit_percent(plan, min_samples, 44)
    assert 100 * audited / plan.evaluations(min_samples) == pytest.approx(share)
