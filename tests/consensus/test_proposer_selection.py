from __future__ import annotations

import pytest

from fedcoin.consensus.proposer_selection import select_proposer
from fedcoin.consensus.validators import ValidatorSet
from tests.support.signing_validators import SigningValidators

VALIDATORS = SigningValidators().validators
MEMBERS = VALIDATORS.members


def test_the_winner_proposes_at_its_height_and_the_others_follow_in_address_order() -> None:
    winner = MEMBERS[2].address
    turns = [select_proposer(VALIDATORS, winner, 10, 10 + h, 0) for h in range(5)]
    assert turns == [MEMBERS[i] for i in (2, 3, 0, 1, 2)]


def test_each_round_passes_the_turn_on() -> None:
    winner = MEMBERS[3].address
    turns = [select_proposer(VALIDATORS, winner, 10, 10, r) for r in range(5)]
    assert turns == [MEMBERS[i] for i in (3, 0, 1, 2, 3)]


def test_before_the_first_winner_the_lowest_address_starts() -> None:
    assert select_proposer(VALIDATORS, b"", 0, 4, 0) == MEMBERS[0]
    assert select_proposer(VALIDATORS, b"", 0, 5, 2) == MEMBERS[3]


def test_a_winner_that_left_is_stood_for_by_the_next_address() -> None:
    remaining = ValidatorSet.from_members(m for m in MEMBERS if m is not MEMBERS[1])
    assert select_proposer(remaining, MEMBERS[1].address, 7, 7, 0) == MEMBERS[2]
    remaining = ValidatorSet.from_members(MEMBERS[:3])
    assert select_proposer(remaining, MEMBERS[3].address, 7, 7, 0) == MEMBERS[0]


def test_every_validator_gets_its_turn_within_as_many_rounds_as_there_are() -> None:
    for height in range(1, 9):
        turns = {
            select_proposer(VALIDATORS, MEMBERS[1].address, 3, height, r).address for r in range(4)
        }
        assert len(turns) == 4


def test_an_empty_set_has_no_proposer() -> None:
    with pytest.raises(ValueError, match="no proposer"):
        select_proposer(ValidatorSet(()), b"", 0, 1, 0)
