from __future__ import annotations

import pytest

from fedcoin.data.crypto.keys import KeyPair
from fedcoin.data.errors import DataCode, RefusalError
from fedcoin.data.messages import canonical
from fedcoin.data.messages.update_receipts import decode_update_receipt, sign_receipt
from fedcoin.data.messages.updates import Update, decode_update, sign_update
from fedcoin.v1.task_pb2 import ClientUpdate, SignedReceipt, UpdateReceipt
from tests.support.genesis import GENESIS_HASH, OTHER_GENESIS_HASH

CLIENT = KeyPair.from_seed(bytes(32))
SERVER = KeyPair.from_seed(b"s" * 32)


def update(num_samples: int = 100) -> Update:
    message = ClientUpdate(
        campaign_id=b"c" * 32,
        round=1,
        base=b"b" * 32,
        update=b"u" * 32,
        num_samples=num_samples,
        address=CLIENT.address,
    )
    return decode_update(sign_update(message, CLIENT, GENESIS_HASH), GENESIS_HASH)


def refusal(envelope: SignedReceipt, genesis_hash: bytes = GENESIS_HASH) -> RefusalError:
    with pytest.raises(RefusalError) as caught:
        decode_update_receipt(envelope, genesis_hash)
    return caught.value


def test_a_receipt_names_its_update_and_its_server() -> None:
    envelope = sign_receipt(update(), 1_000, SERVER, GENESIS_HASH)
    read = decode_update_receipt(envelope, GENESIS_HASH)
    assert (read.server, read.time_ms) == (SERVER.address, 1_000)
    assert read.is_for(update())
    assert not read.is_for(update(num_samples=101))


def test_a_receipt_is_for_one_network() -> None:
    envelope = sign_receipt(update(), 1_000, SERVER, GENESIS_HASH)
    assert refusal(envelope, OTHER_GENESIS_HASH).code is DataCode.BAD_SIGNATURE


def test_an_updates_signature_is_no_receipt() -> None:
    signed = update().envelope
    envelope = SignedReceipt(
        body=canonical.encode(UpdateReceipt(update=signed.body, time_ms=1)),
        public_key=signed.public_key,
        signature=signed.signature,
    )
    assert refusal(envelope).code is DataCode.BAD_SIGNATURE


@pytest.mark.parametrize(
    ("code", "envelope"),
    [
        (DataCode.MALFORMED, SignedReceipt()),
        (DataCode.TOO_LARGE, SignedReceipt(body=bytes(321))),
        (DataCode.MALFORMED, sign_receipt(update(), 0, SERVER, GENESIS_HASH)),
    ],
)
def test_bytes_that_are_no_receipt(code: DataCode, envelope: SignedReceipt) -> None:
    assert refusal(envelope).code is code
