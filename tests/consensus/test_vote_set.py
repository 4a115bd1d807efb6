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


def test_prevotes_for_a_block_are_a_quorum_only_when_a_third_audited_it() -> None:
    committee = SigningValidators(33, 33, 33, 1)
    votes = VoteSet(committee.validators, needs_audit=True)
    powers = {v.public_key: v.power for v in committee.validators}
    by_power = sorted(range(4), key=lambda i: -powers[committee.keys[i].public_key])
    for i in by_power[1:]:
        votes.add(committee.prevote(i, 0, BLOCK, audited=False))
    votes.add(committee.prevote(by_power[0], 0, BLOCK))
    assert votes.power_for(hash_of(BLOCK)) == 100
    assert votes.quorum is None, "33 of 100 audited it, and all of them may be faulty"
    votes.add(committee.prevote(by_power[3], 0, BLOCK))
    assert votes.quorum == hash_of(BLOCK)
    nil = VoteSet(committee.validators, needs_audit=True)
    for i in range(4):
        nil.add(committee.prevote(i, 0, NIL))
    assert nil.quorum == NIL


def test_an_audited_copy_of_a_prevote_takes_the_place_of_the_other_one() -> None:
    votes = VoteSet(COMMITTEE.validators, needs_audit=True)
    unaudited = COMMITTEE.prevote(0, 0, BLOCK, audited=False)
    audited = COMMITTEE.prevote(0, 0, BLOCK)
    assert votes.add(unaudited) == AddedVote(is_new=True)
    assert votes.add(audited) == AddedVote(is_new=True, conflicting=unaudited)
    assert votes.add(audited) == AddedVote(is_new=False)
    assert votes.votes_for(hash_of(BLOCK)) == [audited]
    assert votes.power == votes.power_for(hash_of(BLOCK)) == 1
    other = VoteSet(COMMITTEE.validators, needs_audit=True)
    other.add(audited)
    assert other.add(unaudited) == AddedVote(is_new=False, conflicting=audited)


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 200)), max_size=300))
def test_kept_votes_are_bounded(said: list[tuple[int, int]]) -> None:
    votes = VoteSet(COMMITTEE.validators)
    for member, value in said:
        votes.add(COMMITTEE.prevote(member, 0, b"block %d" % value if value else NIL))
    assert len(votes.votes()) <= 4 * 4
    assert votes.power == len({member for member, _ in said})
