"""Transactions of accounts of several keys: one encoding, and nobody spends with fewer keys."""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fedcoin.data.crypto.hashing import SigningContext
from fedcoin.data.crypto.key_policies import MAX_KEYS, make_policy, sign_for_policy
from fedcoin.data.errors import DataCode, RefusalError
from fedcoin.data.messages import canonical
from fedcoin.data.messages.chain_identity import ChainIdentity
from fedcoin.data.messages.transactions import (
    decode_stored_transaction,
    decode_transaction,
    encode_body,
    estimate_signatures,
    sign_transaction,
    stored_sender,
    stored_transaction_hash,
)
from fedcoin.v1.transaction_pb2 import KeyPolicy, SignedTransaction, TransactionBody, Unbond
from tests.support.genesis import CHAIN_ID, GENESIS_HASH, OTHER_GENESIS_HASH
from tests.support.keys import ALICE, BOB
from tests.support.message_counts import counting
from tests.support.paths import read_vectors
from tests.support.shared_accounts import MEMBERS, PURSE, members_of, sign_shared
from tests.support.transfers import transfer_to

NETWORK = ChainIdentity(CHAIN_ID, GENESIS_HASH)


def body(**changes: Any) -> TransactionBody:
    values = {"chain_id": CHAIN_ID, "nonce": 3, "fee": 30_000, "expiry_height": 9, **changes}
    return TransactionBody(**values, transfer=transfer_to((BOB.address, 5)))


def envelope(*signers: int) -> SignedTransaction:
    keys = [MEMBERS[i] for i in signers]
    return SignedTransaction.FromString(sign_shared(PURSE, body(), keys, GENESIS_HASH))


def code_of(message: SignedTransaction) -> Enum:
    with pytest.raises(RefusalError) as caught:
        decode_transaction(canonical.encode(message), NETWORK)
    return caught.value.code


def test_the_hash_does_not_depend_on_who_signed() -> None:
    raws = [canonical.encode(envelope(*pair)) for pair in ((0, 1), (0, 2), (1, 2))]
    assert len(set(raws)) == 3
    read = [decode_transaction(raw, NETWORK) for raw in raws]
    assert {one.hash for one in read} == {read[0].hash}
    assert {one.sender for one in read} == {PURSE.address}
    assert [one.signers for one in read] == [
        tuple(MEMBERS[i].public_key for i in pair) for pair in ((0, 1), (0, 2), (1, 2))
    ]
    for raw, one in zip(raws, read, strict=True):
        assert decode_stored_transaction(raw) == one
        assert stored_transaction_hash(raw) == one.hash
        assert stored_sender(SignedTransaction.FromString(raw)) == PURSE.address
    assert one.hash != sign_transaction(body(), MEMBERS[0], GENESIS_HASH).hash


def test_all_signatures_are_verified_once() -> None:
    raw = canonical.encode(envelope(0, 2))
    with counting() as counts:
        transaction = decode_transaction(raw, NETWORK)
    assert counts.envelopes[raw] == counts.bodies[transaction.body_bytes] == 1
    signatures = [signature for signature in envelope(0, 2).signatures if signature]
    assert counts.verified == dict.fromkeys(signatures, 1)


def test_golden_vectors() -> None:
    vectors = read_vectors("policy_transactions")
    chain = ChainIdentity(vectors["chain_id"], bytes.fromhex(vectors["genesis_hash"]))
    for case in vectors["accepted"]:
        read = decode_transaction(bytes.fromhex(case["raw"]), chain)
        assert read.hash.hex() == case["hash"]
        assert read.sender.hex() == case["sender"] == vectors["address"]
        assert read.body_bytes.hex() == vectors["body"]
    for case in vectors["refused"]:
        with pytest.raises(RefusalError) as caught:
            decode_transaction(bytes.fromhex(case["raw"]), chain)
        assert caught.value.code.value == case["code"], case["why"]


def _swap(message: SignedTransaction) -> None:
    message.signatures[:] = [message.signatures[1], message.signatures[0], b""]


def _twice(message: SignedTransaction) -> None:
    message.signatures[:] = [message.signatures[0], message.signatures[0], b""]


def _of_the_purse_alone(message: SignedTransaction) -> None:
    # One that its key gave for an account of its own must not count for the shared one.
    message.signatures[1] = MEMBERS[1].sign(SigningContext.TX, GENESIS_HASH, message.body)


def _for_another_policy(message: SignedTransaction) -> None:
    # The same keys under another threshold are another account, with the key's own signature.
    other = make_policy(1, PURSE.public_keys)
    message.signatures[1] = sign_for_policy(other, message.body, MEMBERS[1], GENESIS_HASH)


def _for_another_launch(message: SignedTransaction) -> None:
    message.signatures[1] = sign_for_policy(PURSE, message.body, MEMBERS[1], OTHER_GENESIS_HASH)


def _a_stranger_s(message: SignedTransaction) -> None:
    message.signatures[1] = sign_for_policy(PURSE, message.body, ALICE, GENESIS_HASH)


def _another_body(message: SignedTransaction) -> None:
    message.body = encode_body(body(nonce=4))


def _another_member(message: SignedTransaction) -> None:
    keys = sorted([*PURSE.public_keys[:2], ALICE.public_key])
    message.policy.public_keys[:] = keys


@pytest.mark.parametrize(
    "forge",
    [
        _swap,
        _twice,
        _of_the_purse_alone,
        _for_another_policy,
        _for_another_launch,
        _a_stranger_s,
        _another_body,
        _another_member,
    ],
)
def test_forgeries_are_refused(forge: Callable[[SignedTransaction], None]) -> None:
    message = envelope(0, 1)
    forge(message)
    assert code_of(message) is DataCode.BAD_SIGNATURE


def test_a_signature_for_the_account_spends_nothing_of_its_key() -> None:
    stolen = SignedTransaction(
        body=envelope(0, 1).body,
        public_key=MEMBERS[0].public_key,
        signature=envelope(0, 1).signatures[0],
    )
    assert code_of(stolen) is DataCode.BAD_SIGNATURE


def test_there_is_one_form() -> None:
    few = envelope(0, 1)
    few.signatures[0] = b""
    assert code_of(few) is DataCode.TOO_FEW_SIGNATURES
    many = envelope(0, 1)
    many.signatures[2] = envelope(1, 2).signatures[2]
    short = envelope(0, 1)
    short.signatures[1] = short.signatures[1][:63]
    missing = envelope(0, 1)
    missing.signatures.pop()
    beside, alone = envelope(0, 1), SignedTransaction(body=envelope(0, 1).body)
    beside.public_key = MEMBERS[0].public_key
    alone.signatures.extend(envelope(0, 1).signatures)
    single = SignedTransaction.FromString(sign_transaction(body(), ALICE, GENESIS_HASH).raw)
    single.signatures.append(b"")
    for message in (many, short, missing, beside, alone, single):
        assert code_of(message) is DataCode.MALFORMED
    single.signatures.pop()
    single.policy.SetInParent()
    assert code_of(single) is DataCode.MALFORMED


def test_other_chains_and_empty_bodies_are_refused_before_signatures() -> None:
    message = envelope(0, 1)
    message.body = encode_body(body(chain_id="elsewhere"))
    assert code_of(message) is DataCode.WRONG_CHAIN
    message.body = canonical.encode(TransactionBody(chain_id=CHAIN_ID))
    assert code_of(message) is DataCode.UNKNOWN_ACTION
    both = canonical.encode(body()) + canonical.encode(TransactionBody(unbond=Unbond(amount=1)))
    message.body = both
    assert code_of(message) is DataCode.MALFORMED


def test_any_change_of_a_byte_is_refused() -> None:
    good = canonical.encode(envelope(0, 2))
    for place in range(len(good)):
        changed = bytearray(good)
        changed[place] ^= 1 << place % 8
        with pytest.raises(RefusalError):
            decode_transaction(bytes(changed), NETWORK)


@settings(max_examples=30)
@given(st.integers(0, 500), st.integers(0, 255))
def test_any_byte_more_or_less_is_refused(place: int, value: int) -> None:
    good = canonical.encode(envelope(0, 2))
    raw = good[:place] + bytes([value]) + good[place:] if value else good[:place]
    if raw == good:
        return
    with pytest.raises(RefusalError):
        decode_transaction(raw, NETWORK)


@settings(max_examples=30)
@given(st.integers(2, MAX_KEYS), st.integers(1, MAX_KEYS), st.integers(0, 3_000))
def test_signatures_are_estimated_from_above(keys: int, threshold: int, padding: int) -> None:
    threshold = min(threshold, keys)
    raw = canonical.encode(
        SignedTransaction(
            body=bytes(1 + padding),
            policy=KeyPolicy(threshold=threshold, public_keys=[bytes(32)] * keys),
            signatures=[bytes(64)] * threshold + [b""] * (keys - threshold),
        )
    )
    assert threshold <= estimate_signatures(raw) <= MAX_KEYS
    one = SignedTransaction(body=bytes(1 + padding), public_key=bytes(32), signature=bytes(64))
    assert estimate_signatures(canonical.encode(one)) == 1


@settings(max_examples=30)
@given(st.binary(max_size=300))
def test_any_bytes_count_as_one_to_sixteen(raw: bytes) -> None:
    assert 1 <= estimate_signatures(raw) <= MAX_KEYS


def test_a_byte_of_a_block_holds_hardly_more_signatures_than_of_single_keys() -> None:
    """The limit on a block's bytes bounds the signatures to verify, too."""
    least = canonical.encode(
        TransactionBody(chain_id="a", fee=2, expiry_height=1, unbond=Unbond(amount=1))
    )
    single = SignedTransaction(body=least, public_key=bytes(32), signature=bytes(64))
    densest = len(canonical.encode(single))
    members = members_of(MAX_KEYS)
    full = make_policy(MAX_KEYS, [key.public_key for key in members])
    shared = sign_shared(full, TransactionBody.FromString(least), members, GENESIS_HASH)
    assert len(shared) / MAX_KEYS > 100
    assert densest / (len(shared) / MAX_KEYS) < 1.15
