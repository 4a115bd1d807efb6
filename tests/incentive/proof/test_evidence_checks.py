"""Malformed and hostile evidence: each fault has its own code and costs little to refuse."""

from __future__ import annotations

import time
import tracemalloc
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedcoin.data.errors import RefusalError
from fedcoin.incentive.errors import IncentiveCode
from fedcoin.incentive.proof import evidence as proving
from fedcoin.incentive.proof.evidence import (
    verify_evidence,
)
from fedcoin.incentive.proof.sum_tree import leaf_hashes
from fedcoin.v1 import task_pb2
from fedcoin.v1.evidence_pb2 import Evidence, EvidenceNode
from tests.support.evidence_mutations import set_field
from tests.support.mined_samples import CHALLENGE, make_plan, mine

EXACT = task_pb2.SCHEDULE_EXACT
PERMUTATION = task_pb2.SCHEDULE_PERMUTATION
ANTITHETIC = task_pb2.SCHEDULE_ANTITHETIC


def hide(amount: int, between: tuple[int, int] | None) -> Callable[[Evidence], None]:
    """Make a mutation that adds weight to a sibling, and to the total so that it still matches."""

    def change(evidence: Evidence) -> None:
        node = evidence.siblings[0]
        node.sum[0] += amount
        evidence.total[0] += amount
        if between:
            node.sum[1] -= amount
            evidence.total[1] -= amount

    return change


CASES: list[tuple[str, Callable[[Evidence], object], IncentiveCode]] = [
    ("short root", set_field("root", b"r" * 31), IncentiveCode.MALFORMED),
    ("other root", set_field("root", b"r" * 32), IncentiveCode.WRONG_ROOT),
    ("short total", lambda e: e.total.pop(), IncentiveCode.MALFORMED),
    ("long total", lambda e: e.total.extend([0] * 10**5), IncentiveCode.MALFORMED),
    ("no samples", set_field("samples", 0), IncentiveCode.BAD_SAMPLES),
    ("one too many", set_field("samples", 1_001), IncentiveCode.BAD_SAMPLES),
    ("2^64 - 1 samples", set_field("samples", 2**64 - 1), IncentiveCode.BAD_SAMPLES),
    ("grand over size", set_field("grand_count", 301), IncentiveCode.BAD_UTILITY),
    ("empty over size", set_field("empty_count", 2**32 - 1), IncentiveCode.BAD_UTILITY),
    ("a leaf short", lambda e: e.leaves.pop(), IncentiveCode.WRONG_LEAVES),
    ("a leaf twice", lambda e: e.leaves[1].CopyFrom(e.leaves[0]), IncentiveCode.WRONG_LEAVES),
    ("a leaf beyond", lambda e: setattr(e.leaves[5], "index", 2**63), IncentiveCode.WRONG_LEAVES),
    ("empty leaf", lambda e: e.leaves[0].ClearField("utilities"), IncentiveCode.WRONG_LEAVES),
    ("utility over size", lambda e: e.leaves[0].utilities.__setitem__(0, 301),
     IncentiveCode.BAD_UTILITY),
    ("end of a walk", lambda e: e.leaves[0].utilities.__setitem__(4, 0), IncentiveCode.BAD_UTILITY),
    ("a sibling short", lambda e: e.siblings.pop(), IncentiveCode.WRONG_SIBLINGS),
    ("a sibling too many", lambda e: e.siblings.add(hash=bytes(32), sum=[0] * 5),
     IncentiveCode.WRONG_SIBLINGS),
    ("no siblings", lambda e: e.ClearField("siblings"), IncentiveCode.WRONG_SIBLINGS),
    ("many siblings", lambda e: e.siblings.extend([EvidenceNode()] * 10**4),
     IncentiveCode.WRONG_SIBLINGS),
    ("short hash", lambda e: setattr(e.siblings[0], "hash", b""), IncentiveCode.MALFORMED),
    ("short sum", lambda e: e.siblings[0].sum.pop(), IncentiveCode.MALFORMED),
    ("long sum", lambda e: e.siblings[0].sum.extend([1] * 10**5), IncentiveCode.MALFORMED),
    ("highest sum", lambda e: e.siblings[0].sum.__setitem__(0, 2**63 - 1),
     IncentiveCode.SUM_OUT_OF_RANGE),
    ("lowest sum", lambda e: e.siblings[0].sum.__setitem__(0, -(2**63)),
     IncentiveCode.SUM_OUT_OF_RANGE),
    ("hidden weight", hide(10**5, None), IncentiveCode.SUM_OUT_OF_RANGE),
    ("a little hidden weight", hide(1, None), IncentiveCode.SUM_NOT_EFFICIENT),
    ("shifted weight", hide(1, (0, 1)), IncentiveCode.WRONG_ROOT),
    ("other total", lambda e: e.total.__setitem__(0, e.total[0] + 1), IncentiveCode.WRONG_TOTAL),
    ("total at the edge", lambda e: e.total.__setitem__(0, 2**63 - 1), IncentiveCode.WRONG_TOTAL),
    ("total at the other", lambda e: e.total.__setitem__(0, -(2**63)), IncentiveCode.WRONG_TOTAL),
]  # fmt: skip


@pytest.mark.parametrize(
    ("change", "code"), [case[1:] for case in CASES], ids=[case[0] for case in CASES]
)
def test_each_fault_has_its_own_code(
    change: Callable[[Evidence], Any], code: IncentiveCode
) -> None:
    mined = mine(make_plan(PERMUTATION, 5), samples=40)
    evidence = mined.reveal(6)
    change(evidence)
    with pytest.raises(RefusalError) as refused:
        verify_evidence(evidence, mined.plan, CHALLENGE, 6)
    assert refused.value.code is code


@pytest.mark.parametrize("change", [case[1] for case in CASES], ids=[case[0] for case in CASES])
def test_hashing_comes_after_all_other_checks(
    change: Callable[[Evidence], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    mined = mine(make_plan(PERMUTATION, 5), samples=40)
    evidence = mined.reveal(6)
    change(evidence)
    hashed: list[int] = []

    def hashes(*parts: Any) -> Any:
        hashed.append(1)
        return leaf_hashes(*parts)

    monkeypatch.setattr(proving, "leaf_hashes", hashes)
    with pytest.raises(RefusalError) as refused:
        verify_evidence(evidence, mined.plan, CHALLENGE, 6)
    late = refused.value.code in (IncentiveCode.WRONG_TOTAL, IncentiveCode.WRONG_ROOT)
    assert bool(hashed) == late


@given(st.binary(max_size=400))
def test_random_bytes_are_refused(junk: bytes) -> None:
    try:
        evidence = Evidence.FromString(junk)
    except Exception:
        return
    for schedule in (EXACT, PERMUTATION, ANTITHETIC):
        with pytest.raises(RefusalError):
            verify_evidence(evidence, make_plan(schedule, 3), CHALLENGE, 5)


def test_hostile_counts_cost_neither_time_nor_memory() -> None:
    plan = make_plan(PERMUTATION, 1_000, size=10**7, max_samples=10**6)
    evidence = Evidence(root=bytes(32), samples=10**6, total=[0] * 1_000, grand_count=1)
    for index in range(44):
        evidence.leaves.add(index=index, utilities=[0] * 1_000)
    tracemalloc.start()
    started = time.perf_counter()
    for q in (44, 10**6):
        with pytest.raises(RefusalError):
            verify_evidence(evidence, plan, CHALLENGE, q)
    assert time.perf_counter() - started < 0.5
    assert tracemalloc.get_traced_memory()[1] < 2_000_000
    tracemalloc.stop()
