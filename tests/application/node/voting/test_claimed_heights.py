"""Claims of strangers do not count against validators that have no further block."""

from __future__ import annotations

import pytest

from fedcoin.application.node.voting.guarded_signer import weigh_claims
from fedcoin.consensus.validators import Validator, ValidatorSet
from fedcoin.network.ports.peers_port import PeerInfo
from tests.conftest import ReportAttack
from tests.support.keys import ALICE, MINERS

OWN, *OTHERS = (miner.public_key for miner in MINERS[:4])
VALIDATORS = ValidatorSet(
    tuple(Validator(miner.address, miner.public_key, 10**9) for miner in MINERS[:4])
)


def peer(key: bytes, height: int) -> PeerInfo:
    return PeerInfo(key, "", outbound=False, height=height, score=0, agent="fedcoin")


def weigh(*peers: PeerInfo, own_height: int = 0) -> int | None:
    return weigh_claims(peers, VALIDATORS, OWN, own_height)


def test_without_peers_nothing_is_claimed() -> None:
    assert weigh() is None


def test_the_greatest_claim_counts_while_few_validators_are_there() -> None:
    assert weigh(peer(OTHERS[0], 0)) == 0
    assert weigh(peer(OTHERS[0], 0), peer(OTHERS[1], 7)) == 7
    assert weigh(peer(OTHERS[0], 0), peer(ALICE.public_key, 70)) == 70
    # A peer twice, this validator's own key, and strangers are no further validators.
    strangers = [peer(bytes((i,)) * 32, 0) for i in range(8)]
    assert weigh(*[peer(OTHERS[0], 0)] * 3, peer(OWN, 0), *strangers, peer(OTHERS[1], 7)) == 7


@pytest.mark.attack
@pytest.mark.parametrize("height", [0, 69])
def test_a_stranger_cannot_hold_up_validators_that_have_no_further_block(
    height: int, report_attack: ReportAttack
) -> None:
    liar = peer(ALICE.public_key, 10**9)
    others = [peer(key, height) for key in OTHERS[:2]]
    assert weigh(*others, liar, own_height=height) == height
    report_attack(
        "claim a great height at genesis, and say that early blocks are no longer kept",
        "no ban, since honest nodes may say so; no validator signs its first vote",
        "they vote once those with more than 2/3 of the power are connected and have no block",
    )


def test_validators_that_are_further_on_are_believed() -> None:
    """A validator that lost its disk, and one that lies, cannot speak for the network."""
    assert weigh(peer(OTHERS[0], 0), peer(OTHERS[1], 70), peer(OTHERS[2], 70)) == 70
    assert weigh(*[peer(key, 70) for key in OTHERS], own_height=69) == 70
