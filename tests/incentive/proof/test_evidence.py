"""Evidence: build, commit, verify, and the room that it leaves for forgery."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fedcoin.data.errors import RefusalError
from fedcoin.incentive.errors import IncentiveCode
from fedcoin.incentive.proof.audit import list_claims
from fedcoin.incentive.proof.challenge import draw_challenged_leaves
from fedcoin.incentive.proof.evidence import (
    build_evidence_tree,
    compute_commitment,
    compute_max_evidence_bytes,
    verify_evidence,
)
from fedcoin.v1 import task_pb2
from fedcoin.v1.evidence_pb2 import Evidence
from tests.support.evidence_mutations import set_field, single_mutations
from tests.support.mined_samples import CHALLENGE, Mined, make_plan, mine

EXACT = task_pb2.SCHEDULE_EXACT
PERMUTATION = task_pb2.SCHEDULE_PERMUTATION
ANTITHETIC = task_pb2.SCHEDULE_ANTITHETIC


@pytest.mark.parametrize("q", [1, 3, 44, 10**9])
@pytest.mark.parametrize("clients", [1, 2, 5, 9])
@pytest.mark.parametrize("schedule", [EXACT, PERMUTATION, ANTITHETIC])
def test_honest_evidence_is_accepted(schedule: int, clients: int, q: int) -> None:
    mined = mine(make_plan(schedule, clients), samples=21)
    evidence = Evidence.FromString(mined.reveal(q).SerializeToString())
    proved = verify_evidence(evidence, mined.plan, CHALLENGE, q)
    tree = mined.tree()
    assert proved.samples == tree.samples
    assert proved.shapley_nano == mined.plan.shapley_nano(tree.samples, tree.total)
    assert proved.evaluations == mined.plan.evaluations(tree.samples)
    assert evidence.ByteSize() <= compute_max_evidence_bytes(mined.plan, q)


@given(
    st.sampled_from([PERMUTATION, ANTITHETIC]),
    st.integers(1, 6),
    st.integers(1, 60),
    st.integers(1, 80),
    st.integers(0, 60),
    st.booleans(),
    st.binary(min_size=32, max_size=32),
)
@settings(max_examples=80, deadline=None)
def test_round_trips(
    schedule: int,
    clients: int,
    samples: int,
    q: int,
    truncation: int,
    zero: bool,
    challenge: bytes,
) -> None:
    mined = mine(make_plan(schedule, clients, truncation=truncation, empty_is_zero=zero), samples)
    tree = mined.tree()
    indices = draw_challenged_leaves(challenge, mined.plan.public_key, samples, q)
    proved = verify_evidence(tree.prove(indices), mined.plan, challenge, q)
    assert proved.samples == samples


SHAPES = [
    (EXACT, 4, 6),
    (EXACT, 7, 44),
    (PERMUTATION, 5, 6),
    (PERMUTATION, 3, 99),
    (ANTITHETIC, 4, 8),
]


def refuse_mutations(mined: Mined, q: int, examples: int) -> int:
    """Check that each mutation is refused; returns how many there were."""
    honest = mined.reveal(q)
    verify_evidence(honest, mined.plan, CHALLENGE, q)
    seen = 0

    @given(single_mutations(honest))
    @settings(max_examples=examples, deadline=None)
    def run(evidence: Evidence) -> None:
        nonlocal seen
        with pytest.raises(RefusalError) as refused:
            verify_evidence(evidence, mined.plan, CHALLENGE, q)
        assert isinstance(refused.value.code, IncentiveCode)
        assert refused.value.field
        seen += 1

    run()
    return seen


@pytest.mark.parametrize(("schedule", "clients", "q"), SHAPES)
def test_every_single_mutation_is_refused(schedule: int, clients: int, q: int) -> None:
    assert refuse_mutations(mine(make_plan(schedule, clients), samples=21), q, 150) >= 150


@pytest.mark.slow
@pytest.mark.timeout(1_800)
@pytest.mark.parametrize(("schedule", "clients", "q"), SHAPES)
def test_each_of_100_000_mutations_is_refused(schedule: int, clients: int, q: int) -> None:
    """100,000 mutations over all shapes."""
    cases = -(-100_000 // len(SHAPES))
    assert refuse_mutations(mine(make_plan(schedule, clients), samples=21), q, cases) >= cases


@given(st.data())
@settings(max_examples=60, deadline=None)
def test_a_forged_leaf_moves_a_value_by_no_more_than_its_weight(data: st.DataObject) -> None:
    schedule = data.draw(st.sampled_from([EXACT, PERMUTATION, ANTITHETIC]))
    mined = mine(make_plan(schedule, 4), samples=18)
    plan, count = mined.plan, len(mined.utilities)
    honest = mined.tree()
    forged_rows = mined.utilities.copy()
    leaf = data.draw(st.integers(0, count - 1))
    forged_rows[leaf] = data.draw(
        st.lists(
            st.integers(0, plan.evaluation_size),
            min_size=plan.leaf_length,
            max_size=plan.leaf_length,
        )
    )
    forged = build_evidence_tree(plan, forged_rows, mined.grand, mined.empty)
    indices = draw_challenged_leaves(CHALLENGE, plan.public_key, count, 5)
    proved = verify_evidence(forged.prove(indices), plan, CHALLENGE, 5)
    for value, true in zip(
        proved.shapley_nano, plan.shapley_nano(count, honest.total), strict=True
    ):
        assert abs(value - true) <= plan.max_leaf_weight_nano(count) + 2


def test_the_empty_coalition_must_be_zero_under_empty_coalition_zero() -> None:
    evidence = mine(make_plan(PERMUTATION, 5)).reveal(6)
    assert evidence.empty_count
    with pytest.raises(RefusalError) as refused:
        verify_evidence(evidence, make_plan(PERMUTATION, 5, empty_is_zero=True), CHALLENGE, 6)
    assert refused.value.code is IncentiveCode.BAD_UTILITY


def test_exact_cannot_hide_another_grand_coalition() -> None:
    mined = mine(make_plan(EXACT, 7))
    evidence = mined.reveal(3)
    assert all(leaf.index != 63 for leaf in evidence.leaves)
    evidence.grand_count -= 1
    with pytest.raises(RefusalError) as refused:
        verify_evidence(evidence, mined.plan, CHALLENGE, 3)
    assert refused.value.code in (IncentiveCode.SUM_NOT_EFFICIENT, IncentiveCode.SUM_OUT_OF_RANGE)


def test_evidence_of_another_miner_or_challenge_is_refused() -> None:
    mined = mine(make_plan(PERMUTATION, 5), samples=40)
    evidence = mined.reveal(6)
    with pytest.raises(RefusalError):
        verify_evidence(evidence, make_plan(PERMUTATION, 5, public_key=b"o" * 32), CHALLENGE, 6)
    with pytest.raises(RefusalError):
        verify_evidence(evidence, mined.plan, bytes(32), 6)


@pytest.mark.parametrize("schedule", [PERMUTATION, ANTITHETIC])
def test_a_large_tree_is_built_and_verified_quickly(schedule: int) -> None:
    plan = make_plan(schedule, 100, size=2_000, max_samples=2_500)
    utilities = np.random.default_rng(5).integers(0, 2_001, size=(2_500, plan.leaf_length))
    started = time.process_time()  # Other programs take nothing of it.
    tree = build_evidence_tree(plan, utilities, 1_900, 200)
    built = time.process_time()
    evidence = tree.prove(draw_challenged_leaves(CHALLENGE, plan.public_key, 2_500, 44))
    verify_evidence(evidence, plan, CHALLENGE, 44)
    # Measured: 0.1 s and 0.01 s; the rest is for slow machines.
    assert built - started < 2
    assert time.process_time() - built < 1
    assert evidence.ByteSize() < 100_000


@pytest.mark.parametrize(
    ("clients", "max_bytes"), [(10, 20_000), (20, 26_000), (50, 46_000), (100, 75_000)]
)
def test_size_of_a_reveal_and_cost_of_its_audit(clients: int, max_bytes: int) -> None:
    """An evaluation set of 10,000 examples and 5,000 walks with diminishing contributions."""
    plan, count = make_plan(ANTITHETIC, clients, size=10_000, max_samples=5_000), 5_000
    rise = 9_500 * (1 - np.exp(-5 * np.arange(1, clients + 1) / clients))
    noise = np.random.default_rng(1).integers(-60, 60, size=(count, clients))
    tree = build_evidence_tree(plan, rise.astype(np.int64) + noise, 9_400, 900)
    evidence = tree.prove(draw_challenged_leaves(CHALLENGE, plan.public_key, count, 44))
    verify_evidence(evidence, plan, CHALLENGE, 44)
    assert max_bytes // 2 < evidence.ByteSize() < max_bytes
    assert evidence.ByteSize() <= compute_max_evidence_bytes(plan, 44) < 200_000
    assert 100 * len(list_claims(evidence, plan).coalitions) < plan.evaluations(count)


def test_the_largest_evidence_bound_holds_at_the_extremes() -> None:
    plan = make_plan(ANTITHETIC, 20, size=10**7, max_samples=700)
    worst = np.zeros((700, 20), dtype=np.int64)
    worst[:, ::2] = 10**7
    tree = build_evidence_tree(plan, worst, 10**7, 0)
    evidence = tree.prove(range(0, 700, 16))
    assert evidence.ByteSize() <= compute_max_evidence_bytes(plan, 44)


def test_a_tree_is_not_built_from_utilities_that_no_verifier_accepts() -> None:
    plan = make_plan(PERMUTATION, 3)
    for rows, ends, code in (
        ([], (200, 10), IncentiveCode.BAD_SAMPLES),
        ([[1, 2, 3]] * 1_001, (200, 10), IncentiveCode.BAD_SAMPLES),
        ([[1, 301, 3]], (200, 10), IncentiveCode.BAD_UTILITY),
        ([[1, -1, 3]], (200, 10), IncentiveCode.BAD_UTILITY),
        ([[1, 2, 3]], (301, 10), IncentiveCode.BAD_UTILITY),
        ([[1, 2, 3]], (200, -1), IncentiveCode.BAD_UTILITY),
    ):
        with pytest.raises(RefusalError) as refused:
            build_evidence_tree(plan, rows, *ends)
        assert refused.value.code is code
    exact = mine(make_plan(EXACT, 3))
    with pytest.raises(RefusalError) as refused:
        build_evidence_tree(exact.plan, exact.utilities[:-1], exact.grand, exact.empty)
    assert refused.value.code is IncentiveCode.BAD_SAMPLES


def commit_to(evidence: Evidence, **changes: Any) -> bytes:
    parts = {"salt": b"s" * 32, "task_id": b"t" * 32, "attempt": 1, "address": b"a" * 20}
    return compute_commitment(evidence, **{**parts, **changes})


def test_a_commitment_binds_everything_but_leaves_and_siblings() -> None:
    mined = mine(make_plan(PERMUTATION, 5), samples=40)
    sums, evidence = mined.tree().build_opening(), mined.reveal(6)
    base = commit_to(sums)
    assert commit_to(evidence) == base
    others = [
        commit_to(sums, salt=b"S" * 32),
        commit_to(sums, task_id=b"T" * 32),
        commit_to(sums, attempt=2),
        commit_to(sums, address=b"A" * 20),
    ]
    for change in (
        set_field("root", bytes(32)),
        set_field("samples", 39),
        set_field("grand_count", 0),
        set_field("empty_count", 0),
        lambda e: e.total.__setitem__(0, e.total[0] + 1),
        lambda e: e.total.append(0),
    ):
        changed = Evidence.FromString(sums.SerializeToString())
        change(changed)
        others.append(commit_to(changed))
    assert len({base, *others}) == 11


@pytest.mark.parametrize("changes", [{"salt": b""}, {"task_id": b"t"}, {"address": b"a" * 21}])
def test_commitments_over_malformed_parts_are_refused(changes: dict[str, bytes]) -> None:
    with pytest.raises(RefusalError) as refused:
        commit_to(Evidence(root=bytes(32), total=[1]), **changes)
    assert refused.value.code is IncentiveCode.MALFORMED


@pytest.mark.parametrize("sums", [Evidence(total=[1]), Evidence(root=bytes(32)),
                                  Evidence(root=bytes(32), total=[0] * 1_001)])  # fmt: skip
def test_commitments_over_malformed_sums_are_refused(sums: Evidence) -> None:
    with pytest.raises(RefusalError) as refused:
        commit_to(sums)
    assert refused.value.code is IncentiveCode.MALFORMED
