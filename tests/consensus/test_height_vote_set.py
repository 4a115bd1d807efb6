from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from fedcoin.consensus.effects import Effect, Equivocation, ForwardMessage
from fedcoin.consensus.height_vote_set import ROUNDS_AHEAD, ROUNDS_BEHIND, HeightVoteSet
from fedcoin.testing.consensus_simulation.block_application import opaque_block
from tests.support.signing_validators import BLOCK, NIL, OTHER, SigningValidators, hash_of

COMMITTEE = SigningValidators()
FAR = ROUNDS_AHEAD + 1


def new_vote_set() -> tuple[HeightVoteSet, list[Effect]]:
    effects: list[Effect] = []
    return HeightVoteSet(COMMITTEE.validators, effects), effects


def test_a_new_block_is_announced_once() -> None:
    vote_set, effects = new_vote_set()
    vote, proposal = COMMITTEE.prevote(1, 0, BLOCK), COMMITTEE.proposal(0, BLOCK)
    for _ in range(2):
        vote_set.add_vote(vote)
        vote_set.add_proposal(proposal)
    assert effects == [ForwardMessage(vote), ForwardMessage(proposal)]


def test_far_rounds_are_set_aside_until_they_are_near() -> None:
    vote_set, effects = new_vote_set()
    votes = [COMMITTEE.prevote(1, FAR, BLOCK), COMMITTEE.precommit(1, FAR + 1, BLOCK)]
    for vote in votes:
        vote_set.add_vote(vote)
    vote_set.add_proposal(COMMITTEE.proposal(FAR, BLOCK))
    assert effects == []
    assert vote_set.rounds == {}
    vote_set.enter_round(1, {})
    assert effects == []
    vote_set.enter_round(2, {})
    assert effects == [ForwardMessage(votes[1])], "of each validator the latest alone is remembered"


def test_rounds_far_behind_are_forgotten_unless_they_are_needed() -> None:
    vote_set, _ = new_vote_set()
    for round, raw in ((0, BLOCK), (1, OTHER), (2, opaque_block(b"third"))):
        vote_set.add_proposal(COMMITTEE.proposal(round, raw))
    vote_set.store_block(opaque_block(b"kept"))
    vote_set.enter_round(ROUNDS_BEHIND + 2, {1: hash_of(b"third"), -1: hash_of(b"kept")})
    assert sorted(vote_set.rounds) == [1, 2]
    assert vote_set.block(hash_of(BLOCK)) is None
    assert vote_set.block(hash_of(OTHER)) == OTHER
    assert vote_set.block(hash_of(b"kept")) == opaque_block(b"kept")
    vote_set.enter_round(ROUNDS_BEHIND + 3, {})
    assert vote_set.rounds == {}
    assert vote_set.block(hash_of(b"kept")) is None


def test_an_old_round_is_kept_for_a_proposal_that_names_it() -> None:
    vote_set, effects = new_vote_set()
    now = ROUNDS_BEHIND + 4
    vote_set.enter_round(now, {})
    vote_set.add_vote(COMMITTEE.prevote(2, 3, BLOCK))
    vote_set.add_proposal(COMMITTEE.proposal(3, BLOCK))
    assert effects == []
    vote_set.add_proposal(COMMITTEE.proposal(now, BLOCK, valid_round=3))
    vote_set.add_vote(COMMITTEE.prevote(2, 3, BLOCK))
    vote_set.add_vote(COMMITTEE.prevote(2, 2, BLOCK))
    assert sorted(vote_set.rounds) == [3, now]


def test_a_second_proposal_counts_only_when_correct_votes_are_for_it() -> None:
    vote_set, effects = new_vote_set()
    second = COMMITTEE.proposal(0, OTHER)
    vote_set.add_proposal(COMMITTEE.proposal(0, BLOCK))
    vote_set.add_proposal(second)
    vote_set.add_vote(COMMITTEE.prevote(1, 0, OTHER))
    vote_set.add_proposal(second)
    assert vote_set.block(hash_of(OTHER)) is None
    vote_set.add_vote(COMMITTEE.prevote(2, 0, OTHER))
    vote_set.add_proposal(second)
    assert vote_set.block(hash_of(OTHER)) == OTHER
    first = vote_set.proposal(0)
    assert first is not None
    assert first.block_hash == hash_of(BLOCK)
    assert effects[-1] == ForwardMessage(second)


def test_a_validator_is_accused_once() -> None:
    vote_set, effects = new_vote_set()
    votes = [COMMITTEE.prevote(1, 0, raw) for raw in (BLOCK, OTHER, NIL)]
    for vote in votes:
        vote_set.add_vote(vote)
    assert effects == [ForwardMessage(votes[0]), Equivocation(votes[0], votes[1])]
    vote_set.add_vote(COMMITTEE.prevote(2, 0, BLOCK))
    vote_set.add_vote(COMMITTEE.prevote(2, 0, OTHER))
    assert len([e for e in effects if isinstance(e, Equivocation)]) == 2


def test_the_round_that_a_third_of_the_power_has_reached() -> None:
    vote_set, _ = new_vote_set()
    vote_set.add_vote(COMMITTEE.prevote(1, 10**6, BLOCK))
    assert vote_set.find_later_round() is None
    vote_set.add_vote(COMMITTEE.precommit(2, 4, NIL))
    assert vote_set.find_later_round() == 4
    vote_set.add_proposal(COMMITTEE.proposal(7, BLOCK))
    assert vote_set.find_later_round() == 7
    vote_set.enter_round(7, {})
    assert vote_set.find_later_round() is None


def test_a_height_is_under_way_with_a_proposal_or_votes_of_a_third() -> None:
    vote_set, _ = new_vote_set()
    vote_set.add_vote(COMMITTEE.prevote(1, 0, NIL))
    assert not vote_set.is_under_way()
    vote_set.add_vote(COMMITTEE.prevote(2, 0, BLOCK))
    assert vote_set.is_under_way()
    vote_set, _ = new_vote_set()
    vote_set.add_proposal(COMMITTEE.proposal(0, BLOCK))
    assert vote_set.is_under_way()
    vote_set, _ = new_vote_set()
    vote_set.add_vote(COMMITTEE.prevote(1, 1, NIL))
    vote_set.add_vote(COMMITTEE.prevote(2, 2, NIL))
    assert vote_set.is_under_way()


def test_messages_of_rounds_come_with_proposals_first() -> None:
    vote_set, _ = new_vote_set()
    vote, proposal = COMMITTEE.prevote(1, 0, BLOCK), COMMITTEE.proposal(1, BLOCK)
    vote_set.add_vote(vote)
    vote_set.add_proposal(proposal)
    assert vote_set.messages([1, 0, 7, 0]) == [proposal, vote]


@given(
    st.lists(
        st.tuples(st.integers(0, 3), st.booleans(), st.integers(0, 2**32 - 2), st.integers(0, 9)),
        max_size=200,
    )
)
def test_no_flood_makes_it_grow(said: list[tuple[int, bool, int, int]]) -> None:
    vote_set, _ = new_vote_set()
    for i, (member, prevote, round, value) in enumerate(said):
        raw = opaque_block(b"block %d" % value)
        vote = COMMITTEE.prevote if prevote else COMMITTEE.precommit
        vote_set.add_vote(vote(member, round, raw))
        vote_set.add_vote(vote(member, round % 40, raw))
        vote_set.add_proposal(COMMITTEE.proposal(round % 40, raw))
        if i % 10 == 0:
            vote_set.enter_round(vote_set.round + 1, {})
    vote_set.enter_round(vote_set.round, {})
    assert len(vote_set.rounds) <= ROUNDS_BEHIND + ROUNDS_AHEAD + 1
    kept = vote_set.messages(range(100))
    assert len(kept) <= (ROUNDS_BEHIND + ROUNDS_AHEAD + 1) * (2 * 16 + 3)
