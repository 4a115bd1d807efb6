"""Votes of earlier heights are compared with their signers' others."""

from __future__ import annotations

import pytest

from fedcoin.application.node.voting.late_votes import LATE_HEIGHTS, LateVotes
from fedcoin.consensus.effects import Equivocation, ForwardMessage
from fedcoin.consensus.errors import ConsensusCode
from fedcoin.consensus.height_vote_set import ROUNDS_AHEAD
from fedcoin.consensus.tendermint_engine import TendermintEngine
from fedcoin.consensus.timers import Timeouts
from fedcoin.consensus.validators import Validator, ValidatorSet
from fedcoin.data.errors import RefusalError
from fedcoin.data.messages.votes import PREVOTE, Vote, sign_vote
from tests.conftest import ReportAttack
from tests.support.keys import MINERS, STRANGER

VALIDATORS = tuple(Validator(key.address, key.public_key, 1) for key in MINERS)


def engine(height: int) -> TendermintEngine:
    validators = ValidatorSet(VALIDATORS)
    return TendermintEngine(
        height, validators, lambda round: VALIDATORS[0], None, Timeouts(1_000, 1_000)
    )


def vote(height: int, value: bytes, signer: int = 0) -> Vote:
    return sign_vote(PREVOTE, height, 0, value, MINERS[signer], b"g" * 32)


def test_a_late_vote_counts_and_contradictions_show() -> None:
    late, voting = LateVotes(), engine(5)
    first, second = vote(5, b"h" * 32), vote(5, b"")
    voting.on_vote(first)
    late.end_height(voting)
    assert not late.count(first)
    assert late.count(vote(5, b"h" * 32, 1)) == [ForwardMessage(vote(5, b"h" * 32, 1))]
    assert Equivocation(first, second) in late.count(second)


def test_heights_that_are_not_kept_and_strangers_count_for_nothing() -> None:
    late = LateVotes()
    for height in range(1, LATE_HEIGHTS + 2):
        late.end_height(engine(height))
    assert not late.count(vote(1, b""))
    assert late.count(vote(2, b""))
    stranger = sign_vote(PREVOTE, 3, 0, b"", STRANGER, b"g" * 32)
    with pytest.raises(RefusalError) as refused:
        late.count(stranger)
    assert refused.value.code is ConsensusCode.NOT_A_VALIDATOR


@pytest.mark.attack
def test_a_validator_fills_no_memory_with_votes_for_decided_heights(
    report_attack: ReportAttack,
) -> None:
    late = LateVotes()
    for height in range(1, LATE_HEIGHTS + 1):
        late.end_height(engine(height))
    kept = 0
    for round in range(60):
        given = sign_vote(PREVOTE, 7, round, b"h" * 32, MINERS[0], b"g" * 32)
        kept += len(late.count(given))
    # Beside these, the vote of the latest round replaces the one before.
    assert kept == ROUNDS_AHEAD + 1
    report_attack(
        "as a validator send votes of thousands of rounds for each of the last 32 heights",
        "no more than now",
        f"{2 * kept} votes of a height are kept and passed on, and the latest one: 15 KiB, for all"
        " heights 0.5 MiB",
    )
