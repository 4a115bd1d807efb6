from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from fedcoin.consensus.vote_set import AddedVote, VoteSet
from tests.support.signing_validators import BLOCK, NIL, OTHER, SigningValidators, hash_of

COMMITTEE = SigningValidators()


def test_a_quorum_appears_with_the_vote_that_completes_it() -> None:
    votes = VoteSet(COMMITTEE.validators)
    for i in (0, 1):
        assert votes.add(COMMITTEE.prevote(i, 0, BLOCK)) == AddedVote(is_new=True)
        assert votes.quorum is None
    votes.add(COMMITTEE.prevote(3, 0, BLOCK))
    assert votes.quorum == hash_of(BLOCK)
    assert votes.power == 3
    assert len(votes.votes_for(hash_of(BLOCK))) == 3


def test_nil_has_quorums_too() -> None:
    votes = VoteSet(COMMITTEE.validators)
    for i in range(3):
        votes.add(COMMITTEE.prevote(i, 0, NIL))
    assert votes.quorum == NIL


def test_the_same_vote_counts_once() -> None:
    votes = VoteSet(COMMITTEE.validators)
    votes.add(COMMITTEE.prevote(0, 0, BLOCK))
    assert votes.add(COMMITTEE.prevote(0, 0, BLOCK)) == AddedVote(is_new=False)
    assert votes.power == votes.power_for(hash_of(BLOCK)) == 1


def test_a_contradicting_vote_is_reported_and_dropped() -> None:
    votes = VoteSet(COMMITTEE.validators)
    first = COMMITTEE.prevote(0, 0, BLOCK)
    votes.add(first)
    assert votes.add(COMMITTEE.prevote(0, 0, OTHER)) == AddedVote(is_new=False, conflicting=first)
    assert votes.votes() == [first]


def test_a_contradiction_that_another_validator_shares_counts_for_both_values() -> None:
    votes = VoteSet(COMMITTEE.validators)
    first = COMMITTEE.prevote(0, 0, NIL)
    votes.add(first)
    votes.add(COMMITTEE.prevote(1, 0, BLOCK))
    votes.add(COMMITTEE.prevote(2, 0, BLOCK))
    second = COMMITTEE.prevote(0, 0, BLOCK)
    assert votes.add(second) == AddedVote(is_new=True, conflicting=first)
    assert votes.add(second) == AddedVote(is_new=False)
    assert votes.quorum == hash_of(BLOCK)
    assert votes.power == 3
    assert votes.power_for(NIL) == 1


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 200)), max_size=300))
def test_kept_votes_are_bounded(said: list[tuple[int, int]]) -> None:
    votes = VoteSet(COMMITTEE.validators)
    for member, value in said:
        votes.add(COMMITTEE.prevote(member, 0, b"block %d" % value if value else NIL))
    assert len(votes.votes()) <= 4 * 4
    assert votes.power == len({member for member, _ in said})
