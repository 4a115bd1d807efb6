"""Trying many challenges: possible with a certificate, useless with the miners' salts."""

from __future__ import annotations

from fedcoin.consensus.certificates import verify_certificate
from fedcoin.consensus.validators import Validator, ValidatorSet
from fedcoin.data.crypto.hashing import sha256
from fedcoin.data.crypto.keys import KeyPair
from fedcoin.testing.measurements.challenge_grinding import (
    GENESIS_HASH,
    list_certificates,
    measure_grinding,
)


def test_a_proposer_can_choose_from_any_number_of_certificates() -> None:
    """The challenge is not derived from the certificate, because all of these are valid."""
    keys = [KeyPair.from_seed(sha256(b"validator", bytes([i]))) for i in range(4)]
    validators = ValidatorSet.from_members(Validator.from_key(key.public_key, 1) for key in keys)
    certificates = list(list_certificates(4, 3, 20))
    assert len(set(certificates)) == 5 + 20
    for certificate in certificates:
        verify_certificate(certificate, validators, GENESIS_HASH, 7, sha256(b"block"))


def test_grinding_gains_with_certificates_and_not_with_salts() -> None:
    certificate, salts = measure_grinding(40, 200, 0.1)
    assert certificate.passed > 0.5
    assert certificate.won == 1.0
    assert salts.passed <= 0.1
    assert salts.won <= 0.6
