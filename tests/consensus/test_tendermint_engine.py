"""Each rule of the algorithm, by its line numbers in arXiv:1807.04938."""

from __future__ import annotations

import pytest

from fedcoin.consensus.certificates import verify_certificate
from fedcoin.consensus.effects import (
    BuildBlock,
    CastVote,
    CheckBlock,
    Decide,
    Equivocation,
    ForwardMessage,
    JudgeProposal,
    SendProposal,
    StartTimer,
    Verdict,
)
from fedcoin.consensus.engine import ConsensusEngine
from fedcoin.consensus.errors import ConsensusCode
from fedcoin.consensus.round_state_machine import RoundStep
from fedcoin.consensus.timers import Timer, TimerKind
from fedcoin.consensus.validators import Validator
from fedcoin.data.errors import RefusalError
from fedcoin.data.messages.blocks import Block
from fedcoin.data.messages.votes import PRECOMMIT, PREVOTE, Vote, sign_proposal
from fedcoin.testing.consensus_simulation.block_application import opaque_block
from tests.support.signing_validators import (
    BLOCK,
    GENESIS_HASH,
    HEIGHT,
    NIL,
    OTHER,
    EngineDriver,
    SigningValidators,
    hash_of,
)

COMMITTEE = SigningValidators()
OTHER_OF_ROUND_1 = opaque_block(b"another block", round=1)
PROPOSE, PREVOTES, PRECOMMITS = TimerKind.PROPOSE, TimerKind.PREVOTE, TimerKind.PRECOMMIT


def seat(me: int = 3) -> EngineDriver:
    """Member 3 proposes in round 3, so it does not propose in rounds 0 to 2."""
    return EngineDriver(COMMITTEE, me)


def timeout(member: EngineDriver, kind: TimerKind, round: int) -> None:
    member.do(member.engine.on_timeout(Timer(kind, round)))


def prevotes(round: int, value: Block | bytes, *members: int) -> list[Vote]:
    return [COMMITTEE.prevote(i, round, value) for i in members]


def precommits(round: int, value: Block | bytes, *members: int) -> list[Vote]:
    return [COMMITTEE.precommit(i, round, value) for i in members]


def locked_seat(me: int = 3) -> EngineDriver:
    """Locked on BLOCK in round 0, and now in round 1."""
    member = seat(me)
    member.hear(COMMITTEE.proposal(0, BLOCK))
    member.find(BLOCK, ok=True)
    others = [i for i in range(3) if i != me][:2]
    member.hear(*prevotes(0, BLOCK, *others))
    assert member.engine.locked == (0, hash_of(BLOCK))
    member.hear(*precommits(0, NIL, *others))
    timeout(member, PRECOMMITS, 0)
    assert member.engine.round == 1
    return member


# Lines 11 to 21: rounds begin.


def test_11_the_proposer_asks_for_a_block_and_proposes_it() -> None:
    member = seat(0)
    assert member.all(BuildBlock) == [BuildBlock(0)]
    member.do(member.engine.on_block_built(0, BLOCK))
    assert member.all(SendProposal) == [SendProposal(0, -1, BLOCK)]
    assert member.all(CheckBlock) == [], "what was built here is not checked"
    assert member.votes() == [(PREVOTE, 0, hash_of(BLOCK))]


def test_15_a_valid_value_is_proposed_again_with_its_round() -> None:
    member = locked_seat(1)
    assert member.all(BuildBlock) == []
    assert member.all(SendProposal) == [SendProposal(1, 0, BLOCK)]


def test_16_a_block_that_comes_too_late_is_dropped() -> None:
    member = seat(0)
    timeout(member, PROPOSE, 0)
    member.do(member.engine.on_block_built(0, BLOCK))
    member.do(member.engine.on_block_built(1, BLOCK))
    assert member.all(SendProposal) == []


def test_16_a_block_is_proposed_once() -> None:
    member = seat(0)
    for raw in (BLOCK, OTHER):
        member.do(member.engine.on_block_built(0, raw))
    assert len(member.all(SendProposal)) == 1


def test_21_the_proposal_timeout_grows_with_each_round() -> None:
    member = seat()
    assert member.all(StartTimer) == [StartTimer(Timer(PROPOSE, 0), 1000)]
    timeout(member, PROPOSE, 0)
    member.hear(*precommits(0, NIL, 0, 1, 2))
    assert member.all(StartTimer)[-1] == StartTimer(Timer(PROPOSE, 1), 1500)


# Lines 22 to 27: a new block.


def test_22_a_valid_block_gets_a_prevote_once_it_was_checked() -> None:
    member = seat()
    member.hear(COMMITTEE.proposal(0, BLOCK))
    assert member.all(CheckBlock) == [CheckBlock(0, BLOCK)]
    assert member.votes() == []
    member.find(BLOCK, ok=True)
    assert member.votes() == [(PREVOTE, 0, hash_of(BLOCK))]


def test_26_an_invalid_block_gets_nil() -> None:
    member = seat()
    member.hear(COMMITTEE.proposal(0, BLOCK))
    member.find(BLOCK, ok=False)
    assert member.votes() == [(PREVOTE, 0, NIL)]


def test_23_a_locked_validator_prevotes_no_other_block() -> None:
    member = locked_seat()
    member.hear(COMMITTEE.proposal(1, OTHER_OF_ROUND_1))
    assert member.votes()[-1] == (PREVOTE, 1, NIL)
    assert len(member.all(CheckBlock)) == 1


def test_23_a_locked_validator_prevotes_its_block() -> None:
    member = locked_seat()
    member.hear(COMMITTEE.proposal(1, BLOCK, valid_round=0))
    assert member.votes()[-1] == (PREVOTE, 1, hash_of(BLOCK))
    assert len(member.all(CheckBlock)) == 1, "a block is checked once"


# Local facts: asked of new blocks only, in each round anew.


def seat_with_facts(facts: Verdict | None, me: int = 3) -> EngineDriver:
    """A seat that knows the block of round 0 to be valid."""
    member = EngineDriver(COMMITTEE, me, facts=facts)
    member.hear(COMMITTEE.proposal(0, BLOCK))
    member.find(BLOCK, ok=True)
    return member


def test_what_is_found_false_gets_nil_and_what_is_unknown_an_unaudited_prevote() -> None:
    for facts, value, audited in (
        (Verdict.VALID, hash_of(BLOCK), True),
        (Verdict.UNKNOWN, hash_of(BLOCK), False),
        (Verdict.FOUND_FALSE, NIL, False),
    ):
        member = seat_with_facts(facts)
        assert member.all(JudgeProposal) == [JudgeProposal(0, BLOCK)]
        assert member.all(CastVote) == [CastVote(PREVOTE, 0, value, audited=audited)]


def test_an_audit_that_is_late_is_unknown_and_one_that_is_early_waits_for_validity() -> None:
    member = seat_with_facts(None)
    assert member.votes() == []
    timeout(member, PROPOSE, 0)
    assert member.all(CastVote) == [CastVote(PREVOTE, 0, hash_of(BLOCK), audited=False)]
    member.judge(BLOCK, Verdict.FOUND_FALSE)
    assert len(member.votes()) == 1
    unchecked = EngineDriver(COMMITTEE, 3)
    unchecked.hear(COMMITTEE.proposal(0, BLOCK))
    timeout(unchecked, PROPOSE, 0)
    assert unchecked.votes() == [(PREVOTE, 0, NIL)], "nothing is known of the block"
    assert unchecked.all(JudgeProposal) == []


def test_a_polka_overrides_what_this_validator_found_false() -> None:
    """Else one validator whose clock or floats differ could keep the others from a decision."""
    member = seat_with_facts(Verdict.FOUND_FALSE)
    member.hear(*prevotes(0, BLOCK, 0, 1, 2))
    assert member.votes() == [(PREVOTE, 0, NIL), (PRECOMMIT, 0, hash_of(BLOCK))]
    member.hear(*precommits(0, NIL, 0, 1, 2))
    member.hear(COMMITTEE.proposal(1, BLOCK, valid_round=0))
    assert member.votes()[-1] == (PREVOTE, 1, hash_of(BLOCK))
    assert len(member.all(JudgeProposal)) == 1, "a block with a polka is not judged again"


def test_a_prevote_for_a_block_with_a_polka_vouches_for_it() -> None:
    """Else the auditors of the first polka could keep silent, and stop the chain for good."""
    member = seat_with_facts(Verdict.UNKNOWN)
    member.hear(*prevotes(0, BLOCK, 0, 1))
    member.hear(*precommits(0, NIL, 0, 1, 2))
    member.hear(COMMITTEE.proposal(1, BLOCK, valid_round=0))
    assert member.all(CastVote)[-1] == CastVote(PREVOTE, 1, hash_of(BLOCK), audited=True)


def test_facts_are_asked_again_in_each_round_and_old_answers_do_not_count() -> None:
    member = seat_with_facts(Verdict.FOUND_FALSE)
    member.hear(*prevotes(0, NIL, 0, 1), *precommits(0, NIL, 0, 1, 2))
    assert member.engine.round == 1
    member.facts = None
    member.hear(COMMITTEE.proposal(1, OTHER_OF_ROUND_1))
    member.find(OTHER_OF_ROUND_1, ok=True)
    assert member.all(JudgeProposal)[-1] == JudgeProposal(1, OTHER_OF_ROUND_1)
    member.judge(OTHER_OF_ROUND_1, Verdict.FOUND_FALSE, round=0)
    assert len(member.all(CastVote)) == 2
    member.judge(OTHER_OF_ROUND_1, Verdict.VALID, round=1)
    assert member.votes()[-1] == (PREVOTE, 1, hash_of(OTHER_OF_ROUND_1))


def test_a_third_of_the_power_must_have_audited_a_block() -> None:
    """One of four is less than a third, and may be faulty: its audit alone decides nothing."""
    member = seat_with_facts(Verdict.UNKNOWN)
    blind = [COMMITTEE.prevote(i, 0, BLOCK, audited=False) for i in (0, 1)]
    member.hear(*blind, COMMITTEE.prevote(2, 0, BLOCK))
    assert member.votes() == [(PREVOTE, 0, hash_of(BLOCK))]
    timeout(member, PREVOTES, 0)
    assert member.votes()[-1] == (PRECOMMIT, 0, NIL)
    two = seat_with_facts(Verdict.UNKNOWN)
    two.hear(blind[0], *prevotes(0, BLOCK, 1, 2))
    assert two.votes()[-1] == (PRECOMMIT, 0, hash_of(BLOCK))


def test_a_prevote_that_says_both_counts_as_audited_and_is_evidence() -> None:
    member = seat_with_facts(Verdict.UNKNOWN)
    unaudited = COMMITTEE.prevote(1, 0, BLOCK, audited=False)
    audited = COMMITTEE.prevote(1, 0, BLOCK)
    member.hear(unaudited, COMMITTEE.prevote(2, 0, BLOCK))
    member.hear(audited)
    assert member.all(Equivocation) == [Equivocation(unaudited, audited)]
    assert member.votes()[-1] == (PRECOMMIT, 0, hash_of(BLOCK))
    assert audited in member.engine.messages(), "peers need it to accept the polka"


def test_a_proposer_learns_which_blocks_failed_before() -> None:
    member = seat_with_facts(Verdict.FOUND_FALSE, me=1)
    member.hear(*prevotes(0, NIL, 0, 2), *precommits(0, NIL, 0, 2, 3))
    assert member.all(BuildBlock) == [BuildBlock(1, (BLOCK,))]


def test_a_block_is_proposed_again_with_its_polka() -> None:
    member = locked_seat(1)
    (proposal,) = member.all(SendProposal)
    assert proposal.valid_round == 0
    assert {vote.public_key for vote in proposal.polka} == {
        COMMITTEE.keys[i].public_key for i in (0, 1, 2)
    }
    assert {(vote.kind, vote.round, vote.block_hash) for vote in proposal.polka} == {
        (PREVOTE, 0, hash_of(BLOCK))
    }


# Lines 28 to 33: a block with an earlier polka.


def test_28_without_the_polka_nothing_happens() -> None:
    member = seat()
    timeout(member, PROPOSE, 0)
    member.hear(*precommits(0, NIL, 0, 1, 2))
    member.hear(COMMITTEE.proposal(1, BLOCK, valid_round=0))
    assert member.votes() == [(PREVOTE, 0, NIL)]
    member.hear(*prevotes(0, BLOCK, 0, 1, 2))
    member.find(BLOCK, ok=True)
    assert member.votes()[-1] == (PREVOTE, 1, hash_of(BLOCK))


def test_29_a_later_polka_unlocks() -> None:
    member = locked_seat()
    timeout(member, PROPOSE, 1)
    member.hear(*prevotes(1, OTHER_OF_ROUND_1, 0, 1, 2))
    member.hear(*precommits(1, NIL, 0, 1, 2))
    member.hear(COMMITTEE.proposal(2, OTHER_OF_ROUND_1, valid_round=1))
    member.find(OTHER_OF_ROUND_1, ok=True)
    assert member.votes()[-1] == (PREVOTE, 2, hash_of(OTHER_OF_ROUND_1))


def test_29_an_earlier_polka_does_not_unlock() -> None:
    member = seat()
    timeout(member, PROPOSE, 0)
    member.hear(*precommits(0, NIL, 0, 1, 2))
    # Locked in round 1; then a polka of round 0 for another block arrives in round 2.
    block = opaque_block(b"a block", round=1)
    member.hear(COMMITTEE.proposal(1, block))
    member.find(block, ok=True)
    member.hear(*prevotes(1, block, 0, 1))
    assert member.engine.locked == (1, hash_of(block))
    member.hear(*precommits(1, NIL, 0, 1, 2))
    member.hear(*prevotes(0, OTHER, 0, 1, 2), COMMITTEE.proposal(2, OTHER, valid_round=0))
    assert member.votes()[-1] == (PREVOTE, 2, NIL)


# Lines 34, 35, 44 to 46 and 61 to 64: prevotes without a polka.


def test_34_a_timer_starts_once_two_thirds_prevoted_anything() -> None:
    member = seat()
    timeout(member, PROPOSE, 0)
    member.hear(COMMITTEE.prevote(0, 0, BLOCK))
    assert len(member.all(StartTimer)) == 1
    member.hear(COMMITTEE.prevote(1, 0, OTHER), COMMITTEE.prevote(2, 0, BLOCK))
    assert member.all(StartTimer)[1:] == [StartTimer(Timer(PREVOTES, 0), 500)]
    timeout(member, PREVOTES, 0)
    assert member.votes()[-1] == (PRECOMMIT, 0, NIL)


def test_34_not_before_the_own_prevote() -> None:
    member = seat()
    member.hear(*prevotes(0, NIL, 0, 1), COMMITTEE.prevote(2, 0, BLOCK))
    assert len(member.all(StartTimer)) == 1


def test_44_two_thirds_for_nil_end_the_step_at_once() -> None:
    member = seat()
    timeout(member, PROPOSE, 0)
    member.hear(*prevotes(0, NIL, 0, 1))
    assert member.votes() == [(PREVOTE, 0, NIL), (PRECOMMIT, 0, NIL)]


# Lines 36 to 43: a polka.


def test_36_a_polka_locks_and_is_written_down_with_the_precommit() -> None:
    member = seat()
    member.hear(COMMITTEE.proposal(0, BLOCK))
    member.find(BLOCK, ok=True)
    member.hear(*prevotes(0, BLOCK, 0, 1))
    assert member.votes()[-1] == (PRECOMMIT, 0, hash_of(BLOCK))
    assert member.engine.locked == (0, hash_of(BLOCK))
    assert BLOCK.raw in member.lock
    assert [e.lock != b"" for e in member.all(CastVote)] == [False, True]


def test_36_not_for_a_block_that_is_unknown_or_unchecked() -> None:
    member = seat()
    timeout(member, PROPOSE, 0)
    member.hear(*prevotes(0, BLOCK, 0, 1, 2))
    assert len(member.votes()) == 1
    member.hear(COMMITTEE.proposal(0, BLOCK))
    assert len(member.votes()) == 1
    member.find(BLOCK, ok=True)
    assert member.votes()[-1] == (PRECOMMIT, 0, hash_of(BLOCK))


def test_36_an_invalid_block_stays_invalid_against_all_other_votes() -> None:
    member = seat()
    member.hear(COMMITTEE.proposal(0, BLOCK))
    member.find(BLOCK, ok=False)
    member.hear(*prevotes(0, BLOCK, 0, 1, 2))
    member.find(BLOCK, ok=True)
    assert member.votes() == [(PREVOTE, 0, NIL)]


def test_36_a_block_that_could_not_be_checked_is_checked_again_in_the_next_round() -> None:
    member = seat()
    member.hear(COMMITTEE.proposal(0, BLOCK))
    member.do(member.engine.on_block_checked(hash_of(BLOCK), Verdict.UNKNOWN))
    member.hear(*prevotes(0, BLOCK, 0, 1, 2))
    assert member.votes() == [(PREVOTE, 0, NIL)], "no validator vouches for what it cannot check"
    member.hear(*precommits(0, NIL, 0, 1, 2))
    member.hear(COMMITTEE.proposal(1, BLOCK, valid_round=0))
    assert member.all(CheckBlock) == [CheckBlock(0, BLOCK), CheckBlock(1, BLOCK)]
    member.find(BLOCK, ok=True)
    assert member.votes()[-1] == (PREVOTE, 1, hash_of(BLOCK))


def test_42_a_polka_after_the_precommit_makes_a_value_valid_but_does_not_lock() -> None:
    member = seat(1)
    member.hear(COMMITTEE.proposal(0, BLOCK))
    member.find(BLOCK, ok=True)
    member.hear(COMMITTEE.prevote(0, 0, BLOCK), COMMITTEE.prevote(3, 0, NIL))
    timeout(member, PREVOTES, 0)
    member.hear(COMMITTEE.prevote(2, 0, BLOCK))
    assert member.engine.locked == (-1, NIL)
    member.hear(*precommits(0, NIL, 0, 2))
    assert member.all(SendProposal) == [SendProposal(1, 0, BLOCK)]


def test_42_a_polka_learnt_in_a_later_round_makes_a_value_valid() -> None:
    member = seat(1)
    timeout(member, PROPOSE, 0)
    member.hear(*precommits(0, NIL, 0, 2, 3))
    assert member.engine.round == 1
    assert member.all(BuildBlock) == [BuildBlock(1)]
    member.hear(COMMITTEE.proposal(0, BLOCK), *prevotes(0, BLOCK, 0, 2, 3))
    member.find(BLOCK, ok=True)
    assert member.all(SendProposal) == [SendProposal(1, 0, BLOCK)]


# Lines 47, 48 and 65 to 67: precommits without a decision.


def test_47_a_timer_starts_once_two_thirds_precommitted_anything() -> None:
    member = seat()
    member.hear(*precommits(0, NIL, 0, 1), COMMITTEE.precommit(2, 0, BLOCK))
    assert member.all(StartTimer)[1:] == [StartTimer(Timer(PRECOMMITS, 0), 500)]
    timeout(member, PRECOMMITS, 0)
    assert member.engine.round == 1


def test_47_two_thirds_for_nil_end_the_round_at_once() -> None:
    member = seat()
    member.hear(*precommits(0, NIL, 0, 1, 2))
    assert (member.engine.round, member.engine.step) == (1, RoundStep.PROPOSE)


# Lines 49 to 54: the decision.


def test_49_precommits_decide_from_any_round_and_step() -> None:
    member = locked_seat()
    member.hear(*precommits(0, BLOCK, 0, 1))
    (decision,) = member.all(Decide)
    assert (decision.block, decision.round) == (BLOCK, 0)
    members = COMMITTEE.validators
    assert (
        verify_certificate(decision.certificate, members, GENESIS_HASH, HEIGHT, hash_of(BLOCK)) == 0
    )


def test_49_the_block_may_come_last_and_is_taken_unchecked() -> None:
    member = seat()
    member.hear(*precommits(0, BLOCK, 0, 1, 2))
    assert member.all(Decide) == []
    member.hear(COMMITTEE.proposal(0, BLOCK))
    assert len(member.all(Decide)) == 1


def test_after_the_decision_nothing_is_said_or_done() -> None:
    member = seat()
    member.hear(COMMITTEE.proposal(0, BLOCK), *precommits(0, BLOCK, 0, 1, 2))
    seen = len(member.seen)
    late = [*prevotes(0, OTHER, 0, 1, 2), *precommits(1, OTHER, 0, 1, 2)]
    member.hear(*late)
    member.hear(COMMITTEE.proposal(1, OTHER_OF_ROUND_1))
    member.find(BLOCK, ok=True)
    timeout(member, PROPOSE, 0)
    member.do(member.engine.on_block_built(0, OTHER))
    member.do(member.engine.start())
    assert member.seen[seen:] == [ForwardMessage(vote) for vote in late]


def test_a_vote_that_comes_after_the_decision_still_shows_who_contradicts_itself() -> None:
    member = seat()
    member.hear(COMMITTEE.proposal(0, BLOCK), *precommits(0, BLOCK, 0, 1, 2))
    member.engine.forget_blocks()
    seen = len(member.seen)
    first, second = precommits(0, BLOCK, 0)[0], precommits(0, NIL, 0)[0]
    member.hear(first, second)
    assert member.seen[seen:] == [Equivocation(first, second)]


# Lines 55 and 56: skipping rounds.


def test_55_more_than_a_third_of_the_power_ahead_skips_rounds() -> None:
    member = seat()
    member.hear(COMMITTEE.prevote(0, 6, NIL))
    assert member.engine.round == 0
    member.hear(COMMITTEE.precommit(1, 5, NIL))
    assert member.engine.round == 5


def test_55_far_rounds_are_reached_too_and_their_votes_not_lost() -> None:
    member = seat()
    member.hear(COMMITTEE.prevote(0, 1000, NIL), COMMITTEE.prevote(1, 1000, NIL))
    assert member.engine.round == 1000
    timeout(member, PROPOSE, 1000)
    assert member.votes()[-1] == (PRECOMMIT, 1000, NIL)


def test_55_one_faulty_validator_makes_no_round_skip() -> None:
    member = seat()
    for round in (1, 50, 2**32 - 2):
        member.hear(COMMITTEE.prevote(0, round, NIL), COMMITTEE.precommit(0, round, BLOCK))
    assert member.engine.round == 0


# Lines 57 to 67: timers that fire too late.


@pytest.mark.parametrize("kind", list(TimerKind))
def test_57_timers_of_other_rounds_and_steps_do_nothing(kind: TimerKind) -> None:
    member = locked_seat()
    timeout(member, PROPOSE, 1)
    said, round = len(member.said), member.engine.round
    timeout(member, kind, 0)
    timeout(member, kind, 2)
    timeout(member, PROPOSE, 1)
    assert (len(member.said), member.engine.round) == (said, round)


# Before the start, and without a vote.


def test_messages_before_the_start_are_used_after_it() -> None:
    member = EngineDriver(COMMITTEE, 3, started=False)
    member.hear(COMMITTEE.proposal(0, BLOCK), *prevotes(0, BLOCK, 0, 1))
    assert len(member.all(ForwardMessage)) == 3
    assert member.said == []
    assert member.engine.is_under_way
    timeout(member, PROPOSE, 0)
    assert member.said == []
    member.do(member.engine.start())
    member.find(BLOCK, ok=True)
    assert [kind for kind, _, _ in member.votes()] == [PREVOTE, PRECOMMIT]


def test_a_decision_does_not_wait_for_the_start() -> None:
    member = EngineDriver(COMMITTEE, 3, started=False)
    member.hear(COMMITTEE.proposal(0, BLOCK), *precommits(0, BLOCK, 0, 1, 2))
    assert len(member.all(Decide)) == 1
    assert member.said == []


def test_a_single_vote_does_not_start_the_engine() -> None:
    engine = COMMITTEE.voting(3)
    engine.on_vote(COMMITTEE.prevote(0, 0, NIL))
    assert not engine.is_under_way
    engine.on_vote(COMMITTEE.prevote(1, 0, NIL))
    assert engine.is_under_way


def test_starting_twice_is_starting_once() -> None:
    engine = COMMITTEE.voting(0)
    assert engine.start() != []
    assert engine.start() == []


def test_an_observer_decides_without_a_word() -> None:
    engine: ConsensusEngine = COMMITTEE.voting(None)
    effects = engine.start()
    effects += engine.on_proposal(COMMITTEE.proposal(0, BLOCK))
    for vote in (*prevotes(0, BLOCK, 0, 1, 2), *precommits(0, BLOCK, 0, 1, 2)):
        effects += engine.on_vote(vote)
    kinds = {type(effect) for effect in effects}
    assert kinds == {StartTimer, ForwardMessage, Decide}


def test_a_lone_validator_decides_with_itself() -> None:
    alone = SigningValidators(7)
    member = EngineDriver(alone, 0)
    member.do(member.engine.on_block_built(0, BLOCK))
    assert [type(e) for e in member.all(Decide)] == [Decide]


# Bad input.


def test_refusals_name_what_is_wrong_and_change_nothing() -> None:
    stranger = next(k for k in SigningValidators(1, 1, 1, 1, 1).keys if k not in COMMITTEE.keys)
    foreign = sign_proposal(HEIGHT, 0, -1, BLOCK, stranger, GENESIS_HASH)
    late = COMMITTEE.proposal(1, BLOCK, valid_round=1)
    early = COMMITTEE.proposal(0, OTHER_OF_ROUND_1)
    again = COMMITTEE.proposal(2, OTHER_OF_ROUND_1, valid_round=0)
    engine = COMMITTEE.voting(3)
    engine.start()
    for proposal, code, field in (
        (foreign, ConsensusCode.NOT_A_VALIDATOR, "public_key"),
        (COMMITTEE.proposal(0, BLOCK, by=1), ConsensusCode.WRONG_PROPOSER, "public_key"),
        (late, ConsensusCode.WRONG_VALID_ROUND, "valid_round"),
        (COMMITTEE.proposal(1, BLOCK), ConsensusCode.WRONG_BLOCK_ROUND, "block.header.round"),
        (early, ConsensusCode.WRONG_BLOCK_ROUND, "block.header.round"),
        (again, ConsensusCode.WRONG_BLOCK_ROUND, "block.header.round"),
    ):
        with pytest.raises(RefusalError) as caught:
            engine.on_proposal(proposal)
        assert (caught.value.code, caught.value.field) == (code, field)
    with pytest.raises(RefusalError) as caught:
        engine.on_vote(COMMITTEE.vote(0, PREVOTE, 0, BLOCK, height=4))
    assert (caught.value.code, caught.value.field) == (ConsensusCode.WRONG_HEIGHT, "height")
    assert engine.messages() == []
    assert engine.on_timeout(Timer(PROPOSE, 0)) == [CastVote(PREVOTE, 0, NIL)]


def test_an_answer_about_an_unknown_block_does_nothing() -> None:
    member = seat()
    member.find(OTHER, ok=True)
    member.hear(COMMITTEE.proposal(0, OTHER))
    assert member.votes() == []


# Equivocation.


def test_two_votes_of_one_validator_are_evidence() -> None:
    member = seat()
    first, second = COMMITTEE.precommit(1, 0, BLOCK), COMMITTEE.precommit(1, 0, OTHER)
    member.hear(first, second, second)
    assert member.all(Equivocation) == [Equivocation(first, second)]


def test_a_polka_that_an_equivocator_was_part_of_can_be_shown_to_all() -> None:
    """Member 1 saw member 0 prevote the block and locked; the others saw its nil prevote."""
    member = seat()
    timeout(member, PROPOSE, 0)
    member.hear(COMMITTEE.prevote(0, 0, NIL), *prevotes(0, BLOCK, 1, 2))
    timeout(member, PREVOTES, 0)
    member.hear(*precommits(0, NIL, 0, 2))
    assert member.engine.round == 1
    member.hear(COMMITTEE.proposal(1, BLOCK, valid_round=0))
    assert member.votes()[-1] == (PRECOMMIT, 0, NIL)
    member.hear(COMMITTEE.prevote(0, 0, BLOCK))
    member.find(BLOCK, ok=True)
    assert member.votes()[-1] == (PREVOTE, 1, hash_of(BLOCK))


# Messages that a peer lacks.


def test_messages_hold_this_round_and_those_that_led_to_it() -> None:
    member = locked_seat()
    member.hear(COMMITTEE.proposal(1, BLOCK, valid_round=0))
    behind = EngineDriver(COMMITTEE, 2)
    behind.hear(*member.engine.messages())
    behind.find(BLOCK, ok=True)
    assert behind.votes()[-1] == (PREVOTE, 1, hash_of(BLOCK))


def test_what_is_new_is_accepted_once_and_own_words_too() -> None:
    member = seat()
    proposal = COMMITTEE.proposal(0, BLOCK)
    member.hear(proposal, proposal)
    member.find(BLOCK, ok=True)
    assert [effect.message for effect in member.all(ForwardMessage)] == [proposal, *member.said]


def test_a_vote_that_is_stored_applies_no_rule_again() -> None:
    class CountingValidators(SigningValidators):
        asked = 0

        def proposer(self, round: int) -> Validator:
            self.asked += 1
            return super().proposer(round)

    committee = CountingValidators()
    member = EngineDriver(committee, 3)
    vote = committee.prevote(1, 0, BLOCK)
    asked = []
    for _ in range(2):
        before = committee.asked
        member.hear(vote)
        asked.append(committee.asked - before)
    # Whether this validator must propose is the rule that asks whose turn it is.
    assert asked == [1, 0]
    assert [effect.message for effect in member.all(ForwardMessage)] == [vote]
