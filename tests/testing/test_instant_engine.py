from __future__ import annotations

import pytest

from fedcoin.consensus.certificates import verify_certificate
from fedcoin.consensus.effects import BuildBlock, CastVote, Decide, ForwardMessage, SendProposal
from fedcoin.consensus.engine import ConsensusEngine
from fedcoin.consensus.errors import ConsensusCode
from fedcoin.consensus.timers import Timer, TimerKind
from fedcoin.data.errors import RefusalError
from fedcoin.data.messages.votes import PRECOMMIT
from fedcoin.testing.instant_engine import InstantEngine
from tests.support.signing_validators import (
    BLOCK,
    CHAIN_ID,
    HEIGHT,
    NIL,
    OTHER,
    SigningValidators,
    hash_of,
)

ALONE = SigningValidators(9)
KEY = ALONE.keys[0].public_key
PROPOSAL = ALONE.proposal(0, BLOCK)
PRECOMMITTED = ALONE.precommit(0, 0, BLOCK)


def test_own_blocks_are_final() -> None:
    engine: ConsensusEngine = InstantEngine(HEIGHT, ALONE.validators, KEY)
    assert not engine.is_under_way
    assert engine.start() == [BuildBlock(0)]
    assert engine.start() == []
    built = engine.on_block_built(0, BLOCK)
    assert built == [SendProposal(0, -1, BLOCK)]
    assert engine.on_proposal(PROPOSAL) == [
        ForwardMessage(PROPOSAL),
        CastVote(PRECOMMIT, 0, hash_of(BLOCK)),
    ]
    accepted, decision = engine.on_vote(PRECOMMITTED)
    assert accepted == ForwardMessage(PRECOMMITTED)
    assert isinstance(decision, Decide)
    certificate = decision.certificate
    assert verify_certificate(certificate, ALONE.validators, CHAIN_ID, HEIGHT, hash_of(BLOCK)) == 0
    assert engine.is_decided
    assert engine.on_vote(ALONE.precommit(0, 1, OTHER)) == []
    assert engine.messages() == [PROPOSAL, PRECOMMITTED]


def test_an_observer_follows_in_any_order() -> None:
    engine = InstantEngine(HEIGHT, ALONE.validators, None)
    assert engine.start() == []
    assert engine.on_vote(PRECOMMITTED) == [ForwardMessage(PRECOMMITTED)]
    assert engine.is_under_way
    assert isinstance(engine.on_proposal(PROPOSAL)[-1], Decide)


def test_after_a_crash_it_goes_on_with_the_stored_proposal() -> None:
    engine = InstantEngine(HEIGHT, ALONE.validators, KEY, [PROPOSAL])
    assert engine.start() == [CastVote(PRECOMMIT, 0, hash_of(BLOCK))]
    engine = InstantEngine(HEIGHT, ALONE.validators, KEY, [PROPOSAL, PRECOMMITTED])
    assert isinstance(engine.start()[0], Decide)


def test_a_precommit_without_its_proposal_ends_its_round() -> None:
    engine = InstantEngine(HEIGHT, ALONE.validators, KEY, [PRECOMMITTED])
    assert engine.start() == [BuildBlock(1)]


def test_prevotes_nil_timers_and_checks_have_no_effect() -> None:
    engine = InstantEngine(HEIGHT, ALONE.validators, KEY)
    engine.start()
    assert engine.on_vote(ALONE.prevote(0, 0, BLOCK)) == []
    assert engine.on_vote(ALONE.precommit(0, 0, NIL)) == []
    assert engine.on_timeout(Timer(TimerKind.PROPOSE, 0)) == []
    assert engine.on_block_checked(hash_of(BLOCK), True) == []


def test_several_validators_are_refused() -> None:
    with pytest.raises(ValueError, match="4 validators"):
        InstantEngine(HEIGHT, SigningValidators().validators, KEY)


def test_messages_of_other_keys_are_refused() -> None:
    engine = InstantEngine(HEIGHT + 1, ALONE.validators, KEY)
    with pytest.raises(RefusalError) as caught:
        engine.on_vote(PRECOMMITTED)
    assert caught.value.code is ConsensusCode.WRONG_HEIGHT
