from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from fedcoin.consensus.vote_set import AddedVote, VoteSet
from tests.support.signing_validators import BLOCK, NIL, OTHER, SigningValidators, hash_of

COMMITTEE = SigningValidators()


def test_a_quorum_appears_with_the_vote_that_completes_it() -> None:
    tally = VoteSet(COMMITTEE.validators)
    for i in (0, 1):
        assert tally.add(COMMITTEE.prevote(i, 0, BLOCK)) == AddedVote(kept=True)
        assert tally.quorum is None
    tally.add(COMMITTEE.prevote(3, 0, BLOCK))
    assert tally.quorum == hash_of(BLOCK)
    assert tally.power == 3
    assert len(tally.votes_for(hash_of(BLOCK))) == 3


def test_nil_has_quorums_too() -> None:
    tally = VoteSet(COMMITTEE.validators)
    for i in range(3):
        tally.add(COMMITTEE.prevote(i, 0, NIL))
    assert tally.quorum == NIL


def test_the_same_vote_counts_once() -> None:
    tally = VoteSet(COMMITTEE.validators)
    tally.add(COMMITTEE.prevote(0, 0, BLOCK))
    assert tally.add(COMMITTEE.prevote(0, 0, BLOCK)) == AddedVote(kept=False)
    assert tally.power == tally.power_for(hash_of(BLOCK)) == 1


def test_a_contradiction_that_nobody_shares_is_named_and_dropped() -> None:
    tally = VoteSet(COMMITTEE.validators)
    first = COMMITTEE.prevote(0, 0, BLOCK)
    tally.add(first)
    assert tally.add(COMMITTEE.prevote(0, 0, OTHER)) == AddedVote(kept=False, contradicts=first)
    assert tally.votes() == [first]


def test_a_contradiction_that_another_validator_shares_counts_for_both_values() -> None:
    tally = VoteSet(COMMITTEE.validators)
    first = COMMITTEE.prevote(0, 0, NIL)
    tally.add(first)
    tally.add(COMMITTEE.prevote(1, 0, BLOCK))
    tally.add(COMMITTEE.prevote(2, 0, BLOCK))
    second = COMMITTEE.prevote(0, 0, BLOCK)
    assert tally.add(second) == AddedVote(kept=True, contradicts=first)
    assert tally.add(second) == AddedVote(kept=False)
    assert tally.quorum == hash_of(BLOCK)
    assert tally.power == 3
    assert tally.power_for(NIL) == 1


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 200)), max_size=300))
def test_whatever_is_signed_what_is_kept_is_bounded(said: list[tuple[int, int]]) -> None:
    tally = VoteSet(COMMITTEE.validators)
    for member, value in said:
        tally.add(COMMITTEE.prevote(member, 0, b"block %d" % value if value else NIL))
    assert len(tally.votes()) <= 4 * 4
    assert tally.power == len({member for member, _ in said})
