"""Trying many challenges: possible with a certificate, pointless with the miners' salts."""

from __future__ import annotations

from fedcoin.consensus.certificates import verify_certificate
from fedcoin.consensus.validators import Validator, ValidatorSet
from fedcoin.data.crypto.hashing import sha256
from fedcoin.data.crypto.keys import KeyPair
from fedcoin.testing.measurements import challenge_grinding


def test_a_proposer_has_as_many_certificates_as_it_likes() -> None:
    """Why the challenge is not drawn from the certificate: all of these are valid."""
    keys = [KeyPair.from_seed(sha256(b"validator", bytes([i]))) for i in range(4)]
    validators = ValidatorSet.from_members(Validator.from_key(key.public_key, 1) for key in keys)
    recorded = list(challenge_grinding.certificates(4, 3, 20))
    assert len(set(recorded)) == 5 + 20
    for certificate in recorded:
        verify_certificate(
            certificate, validators, challenge_grinding.CHAIN_ID, 7, sha256(b"block")
        )


def test_what_grinding_buys() -> None:
    old, new = challenge_grinding.ground(40, 200, 0.1)
    assert old.passed > 0.5
    assert old.won == 1.0
    assert new.passed <= 0.1
    assert new.won <= 0.6
