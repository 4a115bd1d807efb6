"""Evidence of a few walks is judged alike with and without arrays."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fedcoin.data.errors import RefusalError
from fedcoin.incentive.proof import evidence as evidence_module
from fedcoin.incentive.proof.evidence import verify_evidence
from fedcoin.incentive.proof.few_leaves import is_plainly_valid
from fedcoin.incentive.proof.sampling_plan import SamplingPlan
from fedcoin.v1 import task_pb2
from fedcoin.v1.evidence_pb2 import Evidence
from tests.support.evidence_mutations import single_mutations
from tests.support.mined_samples import CHALLENGE, make_plan, mine

WALKS = st.sampled_from([task_pb2.SCHEDULE_PERMUTATION, task_pb2.SCHEDULE_ANTITHETIC])


def judge(evidence: Evidence, plan: SamplingPlan) -> object:
    """Return the proved vector, or the code and field of the refusal."""
    try:
        return verify_evidence(evidence, plan, CHALLENGE, 44)
    except RefusalError as refusal:
        return refusal.code, refusal.field


@given(WALKS, st.integers(1, 9), st.integers(1, 9), st.integers(0, 60), st.data())
@settings(deadline=None)
def test_arrays_and_integers_agree_on_honest_and_on_changed_evidence(
    schedule: int, clients: int, samples: int, truncation: int, data: st.DataObject
) -> None:
    plan = make_plan(schedule, clients, truncation=truncation)
    honest = mine(plan, samples).reveal(44)
    assert is_plainly_valid(honest, plan, 44)
    changed = data.draw(single_mutations(honest))
    quick = [judge(evidence, plan) for evidence in (honest, changed)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(evidence_module, "is_plainly_valid", lambda *_: False)
        assert quick == [judge(evidence, plan) for evidence in (honest, changed)]


def test_other_evidence_is_left_to_the_arrays() -> None:
    exact = make_plan(task_pb2.SCHEDULE_EXACT, 3)
    assert not is_plainly_valid(mine(exact).reveal(44), exact, 44)
    walks = make_plan(task_pb2.SCHEDULE_PERMUTATION, 3)
    assert not is_plainly_valid(mine(walks, 9).reveal(4), walks, 4)
    many = make_plan(task_pb2.SCHEDULE_PERMUTATION, 60)
    assert not is_plainly_valid(mine(many, 9).reveal(44), many, 44)
