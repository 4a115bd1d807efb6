from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedcoin.data.crypto.hashing import SigningContext
from fedcoin.data.crypto.keys import KeyPair, verify_signature
from fedcoin.data.errors import DataCode, RefusalError
from tests.support.genesis import GENESIS_HASH, OTHER_GENESIS_HASH
from tests.support.paths import read_vectors

ORDER = 2**252 + 27742317777372353535851937790883648493


def test_golden_signatures() -> None:
    for vector in read_vectors("keys"):
        key = KeyPair.from_seed(bytes.fromhex(vector["seed"]))
        assert key.public_key.hex() == vector["public_key"]
        assert key.address.hex() == vector["address"]
        context, body = SigningContext(vector["context"]), bytes.fromhex(vector["body"])
        signature = key.sign(context, bytes.fromhex(vector["genesis_hash"]), body)
        assert signature.hex() == vector["signature"]
        assert verify_signature(
            key.public_key, context, bytes.fromhex(vector["genesis_hash"]), body, signature
        )


@given(st.binary(max_size=200))
def test_a_signature_is_for_one_body_network_and_purpose(body: bytes) -> None:
    key = KeyPair.from_seed(bytes(32))
    signature = key.sign(SigningContext.TX, GENESIS_HASH, body)
    assert verify_signature(key.public_key, SigningContext.TX, GENESIS_HASH, body, signature)
    assert not verify_signature(
        key.public_key, SigningContext.TX, GENESIS_HASH, body + b"\0", signature
    )
    assert not verify_signature(
        key.public_key, SigningContext.TX, OTHER_GENESIS_HASH, body, signature
    )
    assert not verify_signature(key.public_key, SigningContext.VOTE, GENESIS_HASH, body, signature)
    other = KeyPair.from_seed(b"\1" * 32)
    assert not verify_signature(other.public_key, SigningContext.TX, GENESIS_HASH, body, signature)


@given(st.integers(0, 511))
def test_any_flipped_bit_is_noticed(bit: int) -> None:
    key = KeyPair.from_seed(bytes(32))
    signature = bytearray(key.sign(SigningContext.TX, GENESIS_HASH, b"x"))
    signature[bit // 8] ^= 1 << bit % 8
    assert not verify_signature(
        key.public_key, SigningContext.TX, GENESIS_HASH, b"x", bytes(signature)
    )


def test_a_signature_has_one_form() -> None:
    key = KeyPair.from_seed(bytes(32))
    signature = key.sign(SigningContext.TX, GENESIS_HASH, b"x")
    scalar = int.from_bytes(signature[32:], "little") + ORDER
    assert not verify_signature(
        key.public_key,
        SigningContext.TX,
        GENESIS_HASH,
        b"x",
        signature[:32] + scalar.to_bytes(32, "little"),
    )


@pytest.mark.parametrize(
    "public_key",
    [
        bytes(32),  # of small order
        b"\1" + bytes(31),  # the neutral element
        b"\xff" * 32,  # not canonical
        b"\xee" + b"\xff" * 30 + b"\x7f",  # the neutral element, not canonical
    ],
)
def test_weak_keys_sign_nothing(public_key: bytes) -> None:
    # With a key of small order, a signature of zeros would fit every message.
    for signature in (bytes(64), b"\1" + bytes(63)):
        assert not verify_signature(public_key, SigningContext.TX, GENESIS_HASH, b"x", signature)


def test_odd_lengths_are_no_signatures(key: KeyPair) -> None:
    signature = key.sign(SigningContext.TX, GENESIS_HASH, b"x")
    assert not verify_signature(
        key.public_key[:-1], SigningContext.TX, GENESIS_HASH, b"x", signature
    )
    assert not verify_signature(
        key.public_key, SigningContext.TX, GENESIS_HASH, b"x", signature[:-1]
    )
    assert not verify_signature(
        key.public_key, SigningContext.TX, GENESIS_HASH, b"x", signature + b"\0"
    )
    assert not verify_signature(b"", SigningContext.TX, GENESIS_HASH, b"x", b"")


def test_a_seed_has_32_bytes() -> None:
    with pytest.raises(RefusalError) as caught:
        KeyPair.from_seed(bytes(31))
    assert caught.value.code is DataCode.BAD_KEY


def test_new_keys_differ_and_do_not_show_their_seed() -> None:
    first, second = KeyPair.generate(), KeyPair.generate()
    assert first != second
    assert repr(first.seed) not in repr(first)
    assert first.seed.hex() not in repr(first)
