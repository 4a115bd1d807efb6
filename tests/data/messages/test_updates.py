from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedcoin.data.crypto.keys import KeyPair
from fedcoin.data.errors import DataCode, RefusalError
from fedcoin.data.messages.updates import decode_update, sign_update
from fedcoin.v1.task_pb2 import ClientUpdate, PrivacyClaim, SignedUpdate
from tests.support.genesis import GENESIS_HASH, OTHER_GENESIS_HASH
from tests.support.paths import read_vectors

KEY = KeyPair.from_seed(bytes(32))


def update(**changes: Any) -> ClientUpdate:
    values: dict[str, Any] = {
        "campaign_id": b"c" * 32,
        "round": 1,
        "base": b"b" * 32,
        "update": b"u" * 32,
        "num_samples": 100,
        "address": KEY.address,
    }
    return ClientUpdate(**{**values, **changes})


def refused(envelope: SignedUpdate, genesis_hash: bytes = GENESIS_HASH) -> RefusalError:
    with pytest.raises(RefusalError) as caught:
        decode_update(envelope, genesis_hash)
    return caught.value


def test_signed_bytes_are_decoded() -> None:
    read = decode_update(sign_update(update(), KEY, GENESIS_HASH), GENESIS_HASH)
    assert (read.campaign_id, read.round, read.num_samples) == (b"c" * 32, 1, 100)
    assert (read.base, read.update) == (b"b" * 32, b"u" * 32)
    assert (read.address, read.public_key) == (KEY.address, KEY.public_key)
    assert read == decode_update(read.envelope, GENESIS_HASH)
    assert len({read, read}) == 1


def test_golden_updates() -> None:
    for vector in read_vectors("updates"):
        envelope = SignedUpdate.FromString(bytes.fromhex(vector["raw"]))
        read = decode_update(envelope, bytes.fromhex(vector["genesis_hash"]))
        assert envelope.body.hex() == vector["body"]
        assert envelope.signature.hex() == vector["signature"]
        assert read.address.hex() == vector["address"]


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"campaign_id": b""}, "campaign_id"),
        ({"campaign_id": b"c" * 33}, "campaign_id"),
        ({"base": b"b"}, "base"),
        ({"update": b""}, "update"),
        ({"address": b"a" * 19}, "address"),
        ({"round": 0}, "round"),
        ({"num_samples": 0}, "num_samples"),
        ({"num_samples": 1_000_000_001}, "num_samples"),
        ({"name": "é" * 25}, "name"),
        ({"name": "two\nlines"}, "name"),
        ({"privacy": PrivacyClaim(epsilon_milli=1)}, "privacy.delta_pico"),
        ({"privacy": PrivacyClaim()}, "privacy.epsilon_milli"),
    ],
)
def test_fields_out_of_range(changes: dict[str, Any], field: str) -> None:
    refusal = refused(sign_update(update(**changes), KEY, GENESIS_HASH))
    assert refusal.code is DataCode.MALFORMED
    assert refusal.field == f"update.{field}"


def test_a_name_is_signed() -> None:
    envelope = sign_update(update(name="Praxis Süd"), KEY, GENESIS_HASH)
    assert decode_update(envelope, GENESIS_HASH).name == "Praxis Süd"
    other = sign_update(update(name="Praxis Nord"), KEY, GENESIS_HASH)
    refusal = refused(SignedUpdate(body=other.body, public_key=KEY.public_key,
                                   signature=envelope.signature))  # fmt: skip
    assert refusal.code is DataCode.BAD_SIGNATURE


def test_the_longest_update_fits() -> None:
    privacy = PrivacyClaim(
        epsilon_milli=2**32 - 1, delta_pico=10**12 - 1, clip_micro=10**15, noise_micro=10**12
    )
    longest = update(round=2**32 - 1, num_samples=1_000_000_000, name="x" * 48, privacy=privacy)
    decode_update(sign_update(longest, KEY, GENESIS_HASH), GENESIS_HASH)


def test_anothers_address() -> None:
    refusal = refused(sign_update(update(address=b"a" * 20), KEY, GENESIS_HASH))
    assert refusal.code is DataCode.BAD_ADDRESS


def test_wrong_signatures() -> None:
    envelope = sign_update(update(), KEY, GENESIS_HASH)
    assert refused(envelope, OTHER_GENESIS_HASH).code is DataCode.BAD_SIGNATURE
    for changes in ({"round": 2}, {"campaign_id": b"d" * 32}, {"num_samples": 1_000}):
        swapped = SignedUpdate(
            body=update(**changes).SerializeToString(),
            public_key=envelope.public_key,
            signature=envelope.signature,
        )
        assert refused(swapped).code is DataCode.BAD_SIGNATURE


def test_malformed_envelopes() -> None:
    envelope = sign_update(update(), KEY, GENESIS_HASH)
    for part, value, code in (
        ("body", b"x" * 257, DataCode.TOO_LARGE),
        ("body", b"\xff", DataCode.MALFORMED),
        ("body", envelope.body + b"\x78\x01", DataCode.MALFORMED),
        ("public_key", b"", DataCode.MALFORMED),
        ("signature", b"", DataCode.MALFORMED),
    ):
        bad = SignedUpdate()
        bad.CopyFrom(envelope)
        setattr(bad, part, value)
        assert refused(bad).code is code


@given(st.binary(max_size=300))
def test_any_body_is_refused(body: bytes) -> None:
    bad = SignedUpdate(body=body, public_key=KEY.public_key, signature=bytes(64))
    assert isinstance(refused(bad).code, DataCode)
