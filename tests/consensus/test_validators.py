from __future__ import annotations

import hashlib

import pytest

from fedcoin.consensus.validators import Validator, ValidatorSet
from tests.support.signing_validators import SigningValidators


def test_members_are_in_address_order() -> None:
    members = SigningValidators(1, 2, 3, 4).validators.members
    assert ValidatorSet.from_members(reversed(members)) == ValidatorSet.from_members(members)
    assert [m.address for m in members] == sorted(m.address for m in members)


def test_members_are_found_by_key_and_by_address() -> None:
    validators = SigningValidators().validators
    for member in validators:
        assert validators.by_key(member.public_key) is member
        assert validators.by_address(member.address) is member
    assert validators.by_key(b"?" * 32) is None
    assert validators.by_address(b"\0" * 20) is None
    assert validators.by_address(b"\xff" * 20) is None


@pytest.mark.parametrize(
    ("power", "quorum", "correct"),
    [(0, False, False), (3, False, False), (4, False, True), (6, False, True), (7, True, True)],
)
def test_a_quorum_is_more_than_two_thirds_and_a_third_has_someone_correct(
    power: int, quorum: bool, correct: bool
) -> None:
    validators = SigningValidators(1, 2, 3, 4).validators
    assert validators.has_quorum(power) is quorum
    assert validators.has_correct(power) is correct


def test_exactly_two_thirds_are_no_quorum() -> None:
    validators = SigningValidators(1, 1, 1).validators
    assert not validators.has_quorum(2)
    assert validators.has_quorum(3)


def test_the_empty_set_decides_nothing() -> None:
    nobody = ValidatorSet(())
    assert not nobody.has_quorum(0)
    assert not nobody.has_correct(0)
    assert nobody.total_power == 0


def test_the_hash_is_over_keys_and_powers_in_address_order() -> None:
    validators = SigningValidators(5, 2**62).validators
    first, second = validators.members
    expected = hashlib.sha256(
        b"fedcoin/validators/v1\0"
        + bytes([0, 0, 0, 2])
        + first.public_key
        + first.power.to_bytes(8, "big")
        + second.public_key
        + second.power.to_bytes(8, "big")
    ).digest()
    assert validators.hash() == expected
    assert SigningValidators(6, 2**62).validators.hash() != expected


def test_a_golden_hash() -> None:
    """Headers commit to this hash, so it must never change."""
    members = [Validator.from_key(bytes([1]) * 32, 5), Validator.from_key(bytes([2]) * 32, 2**62)]
    assert ValidatorSet.from_members(members).hash().hex() == (
        "c399739baef5bd7cafb7acbfa06c0bc82b94d894c0c576d20bca6caf11f06258"
    )


def test_a_set_has_no_member_twice_and_none_without_power() -> None:
    member = Validator.from_key(b"k" * 32, 1)
    with pytest.raises(ValueError, match="twice"):
        ValidatorSet.from_members([member, member])
    with pytest.raises(ValueError, match="positive"):
        ValidatorSet.from_members([Validator.from_key(b"k" * 32, 0)])
