from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from fedcoin.consensus.effects import Effect, Equivocation, ForwardMessage
from fedcoin.consensus.height_vote_set import ROUNDS_AHEAD, ROUNDS_BEHIND, HeightVoteSet
from tests.support.signing_validators import BLOCK, NIL, OTHER, SigningValidators, hash_of

COMMITTEE = SigningValidators()
FAR = ROUNDS_AHEAD + 1


def new_log() -> tuple[HeightVoteSet, list[Effect]]:
    effects: list[Effect] = []
    return HeightVoteSet(COMMITTEE.validators, effects), effects


def test_what_is_new_is_announced_once() -> None:
    log, effects = new_log()
    vote, proposal = COMMITTEE.prevote(1, 0, BLOCK), COMMITTEE.proposal(0, BLOCK)
    for _ in range(2):
        log.add_vote(vote)
        log.add_proposal(proposal)
    assert effects == [ForwardMessage(vote), ForwardMessage(proposal)]


def test_far_rounds_are_set_aside_until_they_are_near() -> None:
    log, effects = new_log()
    votes = [COMMITTEE.prevote(1, FAR, BLOCK), COMMITTEE.precommit(1, FAR + 1, BLOCK)]
    for vote in votes:
        log.add_vote(vote)
    log.add_proposal(COMMITTEE.proposal(FAR, BLOCK))
    assert effects == []
    assert log.rounds == {}
    log.move(1, {})
    assert effects == []
    log.move(2, {})
    assert effects == [ForwardMessage(votes[1])], "of each validator the latest alone is remembered"


def test_rounds_far_behind_are_forgotten_unless_they_are_needed() -> None:
    log, _ = new_log()
    for round, raw in ((0, BLOCK), (1, OTHER), (2, b"third")):
        log.add_proposal(COMMITTEE.proposal(round, raw))
    log.keep_block(b"k" * 32, b"kept")
    log.move(ROUNDS_BEHIND + 2, {1: hash_of(b"third"), -1: b"k" * 32})
    assert sorted(log.rounds) == [1, 2]
    assert log.block(hash_of(BLOCK)) is None
    assert log.block(hash_of(OTHER)) == OTHER
    assert log.block(b"k" * 32) == b"kept"
    log.move(ROUNDS_BEHIND + 3, {})
    assert log.rounds == {}
    assert log.block(b"k" * 32) is None


def test_an_old_round_is_kept_for_a_proposal_that_names_it() -> None:
    log, effects = new_log()
    now = ROUNDS_BEHIND + 4
    log.move(now, {})
    log.add_vote(COMMITTEE.prevote(2, 3, BLOCK))
    log.add_proposal(COMMITTEE.proposal(3, BLOCK))
    assert effects == []
    log.add_proposal(COMMITTEE.proposal(now, BLOCK, valid_round=3))
    log.add_vote(COMMITTEE.prevote(2, 3, BLOCK))
    log.add_vote(COMMITTEE.prevote(2, 2, BLOCK))
    assert sorted(log.rounds) == [3, now]


def test_a_second_proposal_counts_only_when_correct_votes_are_for_it() -> None:
    log, effects = new_log()
    second = COMMITTEE.proposal(0, OTHER)
    log.add_proposal(COMMITTEE.proposal(0, BLOCK))
    log.add_proposal(second)
    log.add_vote(COMMITTEE.prevote(1, 0, OTHER))
    log.add_proposal(second)
    assert log.block(hash_of(OTHER)) is None
    log.add_vote(COMMITTEE.prevote(2, 0, OTHER))
    log.add_proposal(second)
    assert log.block(hash_of(OTHER)) == OTHER
    first = log.proposal(0)
    assert first is not None
    assert first.block_hash == hash_of(BLOCK)
    assert effects[-1] == ForwardMessage(second)


def test_a_validator_is_accused_once() -> None:
    log, effects = new_log()
    votes = [COMMITTEE.prevote(1, 0, raw) for raw in (BLOCK, OTHER, NIL)]
    for vote in votes:
        log.add_vote(vote)
    assert effects == [ForwardMessage(votes[0]), Equivocation(votes[0], votes[1])]
    log.add_vote(COMMITTEE.prevote(2, 0, BLOCK))
    log.add_vote(COMMITTEE.prevote(2, 0, OTHER))
    assert len([e for e in effects if isinstance(e, Equivocation)]) == 2


def test_the_round_that_a_third_of_the_power_has_reached() -> None:
    log, _ = new_log()
    log.add_vote(COMMITTEE.prevote(1, 10**6, BLOCK))
    assert log.later_round() is None
    log.add_vote(COMMITTEE.precommit(2, 4, NIL))
    assert log.later_round() == 4
    log.add_proposal(COMMITTEE.proposal(7, BLOCK))
    assert log.later_round() == 7
    log.move(7, {})
    assert log.later_round() is None


def test_a_height_is_under_way_with_a_proposal_or_votes_of_a_third() -> None:
    log, _ = new_log()
    log.add_vote(COMMITTEE.prevote(1, 0, NIL))
    assert not log.is_under_way()
    log.add_vote(COMMITTEE.prevote(2, 0, BLOCK))
    assert log.is_under_way()
    log, _ = new_log()
    log.add_proposal(COMMITTEE.proposal(0, BLOCK))
    assert log.is_under_way()
    log, _ = new_log()
    log.add_vote(COMMITTEE.prevote(1, 1, NIL))
    log.add_vote(COMMITTEE.prevote(2, 2, NIL))
    assert log.is_under_way()


def test_messages_of_rounds_come_with_proposals_first() -> None:
    log, _ = new_log()
    vote, proposal = COMMITTEE.prevote(1, 0, BLOCK), COMMITTEE.proposal(1, BLOCK)
    log.add_vote(vote)
    log.add_proposal(proposal)
    assert log.messages([1, 0, 7, 0]) == [proposal, vote]


@given(
    st.lists(
        st.tuples(st.integers(0, 3), st.booleans(), st.integers(0, 2**32 - 2), st.integers(0, 9)),
        max_size=200,
    )
)
def test_no_flood_makes_it_grow(said: list[tuple[int, bool, int, int]]) -> None:
    log, _ = new_log()
    for i, (member, prevote, round, value) in enumerate(said):
        raw = b"block %d" % value
        vote = COMMITTEE.prevote if prevote else COMMITTEE.precommit
        log.add_vote(vote(member, round, raw))
        log.add_vote(vote(member, round % 40, raw))
        log.add_proposal(COMMITTEE.proposal(round % 40, raw))
        if i % 10 == 0:
            log.move(log.round + 1, {})
    log.move(log.round, {})
    assert len(log.rounds) <= ROUNDS_BEHIND + ROUNDS_AHEAD + 1
    kept = log.messages(range(100))
    assert len(kept) <= (ROUNDS_BEHIND + ROUNDS_AHEAD + 1) * (2 * 16 + 3)
