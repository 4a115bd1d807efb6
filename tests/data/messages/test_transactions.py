from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fedcoin.data.crypto.hashing import SigningContext
from fedcoin.data.crypto.keys import KeyPair
from fedcoin.data.errors import DataCode, RefusalError
from fedcoin.data.messages import canonical
from fedcoin.data.messages.chain_identity import ChainIdentity
from fedcoin.data.messages.transactions import action_name, decode_transaction, sign_transaction
from fedcoin.v1.transaction_pb2 import Bond, SignedTransaction, TransactionBody, Unbond
from tests.support.genesis import GENESIS_HASH, OTHER_GENESIS_HASH
from tests.support.paths import read_vectors

CHAIN = "fedcoin-test"
NETWORK = ChainIdentity(CHAIN, GENESIS_HASH)
KEY = KeyPair.from_seed(bytes(32))


def body(**changes: Any) -> TransactionBody:
    values = {"chain_id": CHAIN, "nonce": 3, "fee": 1_000, "expiry_height": 9, **changes}
    if not {"bond", "unbond"} & set(changes):
        values["bond"] = Bond(amount=7)
    return TransactionBody(**values)


def envelope(raw_body: bytes, genesis_hash: bytes = GENESIS_HASH) -> bytes:
    return canonical.encode(
        SignedTransaction(
            body=raw_body,
            public_key=KEY.public_key,
            signature=KEY.sign(SigningContext.TX, genesis_hash, raw_body),
        )
    )


def refused(raw: bytes, max_bytes: int = 1 << 20) -> RefusalError:
    with pytest.raises(RefusalError) as caught:
        decode_transaction(raw, NETWORK, max_bytes)
    return caught.value


def test_signed_bytes_are_decoded() -> None:
    made = sign_transaction(body(), KEY, GENESIS_HASH)
    assert decode_transaction(made.raw, NETWORK) == made
    assert made.sender == KEY.address
    assert made.public_key == KEY.public_key
    assert made.body.bond.amount == 7


def test_golden_transactions() -> None:
    seen = set()
    for vector in read_vectors("transactions"):
        raw = bytes.fromhex(vector["raw"])
        read = decode_transaction(
            raw, ChainIdentity(vector["chain_id"], bytes.fromhex(vector["genesis_hash"]))
        )
        assert action_name(read.body) == vector["action"]
        assert read.hash.hex() == vector["hash"]
        assert read.sender.hex() == vector["sender"]
        assert read.body_bytes.hex() == vector["body"]
        assert canonical.encode(read.body).hex() == vector["body"]
        key = KeyPair.from_seed(bytes.fromhex(vector["seed"]))
        assert sign_transaction(read.body, key, bytes.fromhex(vector["genesis_hash"])).raw == raw
        seen.add(vector["action"])
    assert seen == {f.name for f in TransactionBody.DESCRIPTOR.oneofs_by_name["action"].fields}


def test_too_large_comes_before_everything() -> None:
    refusal = refused(b"\xff" * 101, max_bytes=100)
    assert refusal.code is DataCode.TOO_LARGE
    assert refusal.limit == "100"
    raw = sign_transaction(body(), KEY, GENESIS_HASH).raw
    assert decode_transaction(raw, NETWORK, len(raw)).raw == raw
    assert refused(raw, len(raw) - 1).code is DataCode.TOO_LARGE


def test_no_known_action() -> None:
    nothing = body()
    nothing.ClearField("bond")
    assert refused(envelope(canonical.encode(nothing))).code is DataCode.UNKNOWN_ACTION
    later = canonical.encode(nothing) + b"\xfa\x06\x00"  # field 111, empty
    assert refused(envelope(later)).code is DataCode.UNKNOWN_ACTION
    with pytest.raises(RefusalError) as caught:
        sign_transaction(nothing, KEY, GENESIS_HASH)
    assert caught.value.code is DataCode.UNKNOWN_ACTION


def test_two_actions() -> None:
    two = canonical.encode(body()) + canonical.encode(TransactionBody(unbond=Unbond(amount=1)))
    assert refused(envelope(two)).code is DataCode.MALFORMED
    beside = canonical.encode(body()) + b"\xfa\x06\x00"
    assert refused(envelope(beside)).code is DataCode.MALFORMED


def test_another_chain() -> None:
    made = sign_transaction(body(chain_id="elsewhere"), KEY, GENESIS_HASH)
    assert refused(made.raw).code is DataCode.WRONG_CHAIN
    assert (
        refused(sign_transaction(body(chain_id=""), KEY, GENESIS_HASH).raw).code
        is DataCode.WRONG_CHAIN
    )
    # The name is right, but the signature was made for another genesis.
    assert (
        refused(envelope(canonical.encode(body()), OTHER_GENESIS_HASH)).code
        is DataCode.BAD_SIGNATURE
    )


def test_wrong_signatures() -> None:
    good = SignedTransaction.FromString(sign_transaction(body(), KEY, GENESIS_HASH).raw)
    other = KeyPair.from_seed(b"\1" * 32)
    changes: tuple[dict[str, Any], ...] = (
        {"signature": bytes(64)},
        {"public_key": other.public_key},
        {"body": canonical.encode(body(nonce=4))},
    )
    for change in changes:
        bad = SignedTransaction(
            **{
                "body": good.body,
                "public_key": good.public_key,
                "signature": good.signature,
            }
            | change
        )
        assert refused(canonical.encode(bad)).code is DataCode.BAD_SIGNATURE


@pytest.mark.parametrize(
    ("part", "value"),
    [("public_key", b""), ("public_key", bytes(33)), ("signature", b""), ("signature", bytes(65))],
)
def test_wrong_lengths(part: str, value: bytes) -> None:
    bad = SignedTransaction.FromString(sign_transaction(body(), KEY, GENESIS_HASH).raw)
    setattr(bad, part, value)
    refusal = refused(canonical.encode(bad))
    assert refusal.code is DataCode.MALFORMED
    assert refusal.field == part


def test_padding_is_refused() -> None:
    # A relayer must not make a stranger's transaction larger.
    raw = sign_transaction(body(), KEY, GENESIS_HASH).raw
    assert refused(raw + b"\x7a\x04junk").code is DataCode.MALFORMED
    assert refused(envelope(canonical.encode(body()) + b"\x08\x01")).code is DataCode.MALFORMED


@given(st.binary(max_size=300))
def test_any_bytes_are_refused(raw: bytes) -> None:
    assert refused(raw).code in (DataCode.MALFORMED, DataCode.UNKNOWN_ACTION)


@settings(max_examples=200)
@given(st.data())
def test_any_change_of_a_byte_is_refused(data: st.DataObject) -> None:
    raw = bytearray(sign_transaction(body(), KEY, GENESIS_HASH).raw)
    place = data.draw(st.integers(0, len(raw) - 1))
    raw[place] ^= data.draw(st.integers(1, 255))
    assert isinstance(refused(bytes(raw)).code, DataCode)


def test_the_hash_leaves_the_signature_out() -> None:
    first = sign_transaction(body(), KEY, GENESIS_HASH)
    assert first.hash == decode_transaction(first.raw, NETWORK).hash
    assert first.hash != sign_transaction(body(nonce=4), KEY, GENESIS_HASH).hash
    assert first.hash != sign_transaction(body(), KeyPair.from_seed(b"\1" * 32), GENESIS_HASH).hash
