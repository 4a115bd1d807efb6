"""A validator restarts with its database, with a damaged one, or with none."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedcoin.consensus.effects import BuildBlock, CastVote, Decide, Message, SendProposal
from fedcoin.consensus.lock_record import encode_lock
from fedcoin.consensus.round_state_machine import RoundStep
from fedcoin.consensus.timers import Timer, TimerKind
from fedcoin.data.messages.votes import PRECOMMIT, PREVOTE, Proposal
from fedcoin.testing.consensus_simulation.block_application import opaque_block
from tests.support.signing_validators import (
    BLOCK,
    HEIGHT,
    NIL,
    OTHER,
    EngineDriver,
    SigningValidators,
    hash_of,
)

COMMITTEE = SigningValidators()


def again(member: EngineDriver, *, lock: bool = True) -> EngineDriver:
    """Return the same validator after a crash."""
    return EngineDriver(COMMITTEE, member.me, member.said, member.lock if lock else b"")


def locked() -> EngineDriver:
    member = EngineDriver(COMMITTEE, 3)
    member.hear(COMMITTEE.proposal(0, BLOCK))
    member.find(BLOCK, ok=True)
    member.hear(*(COMMITTEE.prevote(i, 0, BLOCK) for i in (0, 1)))
    return member


def test_a_prevote_is_not_cast_again() -> None:
    member = EngineDriver(COMMITTEE, 3)
    member.hear(COMMITTEE.proposal(0, BLOCK))
    member.find(BLOCK, ok=True)
    back = again(member)
    assert back.engine.step == RoundStep.PREVOTE
    back.hear(COMMITTEE.proposal(0, OTHER))
    back.find(OTHER, ok=True)
    back.do(back.engine.on_timeout(Timer(TimerKind.PROPOSE, 0)))
    assert back.said == []
    assert set(back.engine.messages()) >= set(member.said)


def test_the_lock_holds() -> None:
    back = again(locked())
    assert back.engine.locked == (0, hash_of(BLOCK))
    assert back.engine.step == RoundStep.PRECOMMIT
    back.hear(*(COMMITTEE.precommit(i, 0, NIL) for i in (0, 1, 2)))
    back.hear(COMMITTEE.proposal(1, opaque_block(b"another block", round=1)))
    assert back.votes() == [(PREVOTE, 1, NIL)]


def test_the_lock_holds_even_without_its_record() -> None:
    back = again(locked(), lock=False)
    assert back.engine.locked == (0, hash_of(BLOCK))
    back.hear(*(COMMITTEE.precommit(i, 0, NIL) for i in (0, 1, 2)))
    back.hear(COMMITTEE.proposal(1, opaque_block(b"another block", round=1)))
    assert back.votes() == [(PREVOTE, 1, NIL)]


def test_the_record_brings_back_the_block_and_its_polka() -> None:
    """When it is the proposer again, it proposes the block, and others get the polka with it."""
    back = again(locked())
    for round in (0, 1, 2):
        back.hear(*(COMMITTEE.precommit(i, round, NIL) for i in (0, 1, 2)))
    assert back.all(BuildBlock) == []
    assert back.all(SendProposal) == [SendProposal(3, 0, BLOCK)]
    prevotes = [m for m in back.engine.messages() if not isinstance(m, Proposal) and m.round == 0]
    assert len([v for v in prevotes if v.kind == PREVOTE]) == 3


def test_a_block_whose_polka_is_lost_is_not_proposed_again() -> None:
    """It was built for another round, so it cannot be new, and nothing shows that it was valid."""
    member = locked()
    record = encode_lock(BLOCK, [COMMITTEE.prevote(3, 0, BLOCK)])
    back = EngineDriver(COMMITTEE, 3, member.said, record)
    for round in (0, 1, 2):
        back.hear(*(COMMITTEE.precommit(i, round, NIL) for i in (0, 1, 2)))
    assert back.all(BuildBlock) == [BuildBlock(3)]
    block = opaque_block(b"a third block", round=3)
    back.do(back.engine.on_block_built(3, block))
    assert back.all(SendProposal) == [SendProposal(3, -1, block)]
    assert back.votes()[-1] == (PREVOTE, 3, NIL), "the lock holds"


def test_between_the_two_writes_the_record_is_a_polka_and_no_lock_yet() -> None:
    member = locked()
    back = EngineDriver(COMMITTEE, 3, member.said[:-1], member.lock, started=False)
    assert back.engine.locked == (-1, NIL)
    back.do(back.engine.start())
    assert back.votes() == [(PRECOMMIT, 0, hash_of(BLOCK))], "it takes the step that was cut off"


def test_an_own_proposal_is_not_replaced() -> None:
    member = EngineDriver(COMMITTEE, 0)
    member.do(member.engine.on_block_built(0, BLOCK))
    proposal = member.said[0]
    back = EngineDriver(COMMITTEE, 0, [proposal])
    assert back.all(BuildBlock) == []
    assert back.votes() == [(PREVOTE, 0, hash_of(BLOCK))], "and it is trusted as before"
    assert proposal in back.engine.messages()


def test_it_goes_on_in_the_latest_round_that_it_signed_in() -> None:
    member = EngineDriver(COMMITTEE, 3)
    member.hear(COMMITTEE.prevote(0, 40, NIL), COMMITTEE.prevote(1, 40, NIL))
    member.do(member.engine.on_timeout(Timer(TimerKind.PROPOSE, 40)))
    back = again(member)
    assert back.engine.round == 40
    assert back.engine.step == RoundStep.PRECOMMIT


def test_a_lone_validator_survives_a_crash_right_after_its_precommit() -> None:
    alone = SigningValidators(1)
    member = EngineDriver(alone, 0)
    member.do(member.engine.on_block_built(0, BLOCK))
    back = EngineDriver(
        alone, 0, [m for m in member.said if not isinstance(m, Proposal)], member.lock
    )
    assert [e.block.hash for e in back.all(Decide)] == [hash_of(BLOCK)]


def test_all_lose_power_after_their_precommits_and_decide_the_same_block() -> None:
    """No validator received another's precommit; only databases keep them."""
    disks: list[tuple[list[Message], bytes]] = []
    for me in range(4):
        member = EngineDriver(COMMITTEE, me)
        member.hear(COMMITTEE.proposal(0, BLOCK))
        member.find(BLOCK, ok=True)
        member.hear(*(COMMITTEE.prevote(i, 0, BLOCK) for i in range(4)))
        # The first validator's precommit was not stored.
        disks.append((member.said[: -1 if me == 0 else None], member.lock))
    back = [EngineDriver(COMMITTEE, me, said, lock) for me, (said, lock) in enumerate(disks)]
    for _ in range(3):
        for member in back:
            for other in back:
                if not member.engine.is_decided:
                    member.hear(*other.engine.messages())
    assert {d.block.hash for member in back for d in member.all(Decide)} == {hash_of(BLOCK)}
    assert all(member.engine.is_decided for member in back)


def test_a_validator_with_a_lost_disk_learns_its_votes_from_peers() -> None:
    """Peers still have its votes; it does not contradict them, and restores its lock."""
    member = EngineDriver(COMMITTEE, 3)
    member.hear(*locked().said)
    assert member.engine.step == RoundStep.PRECOMMIT
    assert member.engine.locked == (0, hash_of(BLOCK))
    member.hear(COMMITTEE.proposal(0, OTHER))
    member.do(member.engine.on_timeout(Timer(TimerKind.PROPOSE, 0)))
    assert member.votes() == []


def test_a_lost_disk_goes_to_the_round_that_peers_remember() -> None:
    for started in (True, False):
        member = EngineDriver(COMMITTEE, 3, started=started)
        member.hear(COMMITTEE.prevote(3, 5, NIL))
        member.do(member.engine.start())
        assert (member.engine.round, member.engine.step) == (5, RoundStep.PREVOTE)


def test_only_own_messages_of_the_height_can_be_restored() -> None:
    with pytest.raises(ValueError, match="own"):
        COMMITTEE.voting(3, [COMMITTEE.prevote(2, 0, BLOCK)])
    with pytest.raises(ValueError, match="height"):
        COMMITTEE.voting(3, [COMMITTEE.vote(3, PREVOTE, 0, BLOCK, height=HEIGHT + 1)])
    other = [COMMITTEE.vote(i, PREVOTE, 0, BLOCK, height=HEIGHT + 1) for i in range(3)]
    with pytest.raises(ValueError, match="height"):
        COMMITTEE.voting(3, (), encode_lock(BLOCK, other))


@given(st.lists(st.integers(0, 11), max_size=40), st.data())
def test_no_history_with_crashes_makes_it_vote_twice(moves: list[int], data: st.DataObject) -> None:
    """Events come in any order, and the process may die after any signature."""
    said: list[Message] = []
    member = EngineDriver(COMMITTEE, 3)
    for move in moves:
        round = data.draw(st.integers(0, 3))
        value: Any = data.draw(st.sampled_from((BLOCK, OTHER, NIL)))
        by = data.draw(st.integers(0, 2))
        if move < 4:
            member.hear(COMMITTEE.prevote(by, round, value))
        elif move < 7:
            member.hear(COMMITTEE.precommit(by, round, value))
        elif move == 7 and value and round != 3:
            claimed = data.draw(st.integers(-1, round - 1))
            block = opaque_block(value.raw, round=round if claimed < 0 else 0)
            member.hear(COMMITTEE.proposal(round, block, valid_round=claimed))
        elif move == 8:
            member.find(value, ok=data.draw(st.booleans()))
        elif move == 9:
            kind = data.draw(st.sampled_from(list(TimerKind)))
            member.do(member.engine.on_timeout(Timer(kind, member.engine.round)))
        elif move == 10:
            built = opaque_block(OTHER.raw, round=member.engine.round)
            member.do(member.engine.on_block_built(member.engine.round, built))
        else:
            said += member.said
            kept = data.draw(st.booleans())
            member = EngineDriver(COMMITTEE, 3, said, member.lock if kept else b"")
            member.said.clear()
        asked = [(e.kind, e.round) for e in member.all(CastVote)]
        signed = [(m.kind, m.round) for m in said if not isinstance(m, Proposal)]
        assert len({*asked, *signed}) == len(asked) + len(signed)
