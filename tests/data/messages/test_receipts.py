from __future__ import annotations

import pytest

from fedcoin.data.crypto import merkle
from fedcoin.data.errors import DataCode, RefusalError
from fedcoin.data.messages.receipts import (
    decode_receipt,
    encode_receipt,
    receipts_root,
)
from fedcoin.v1 import block_pb2
from tests.support.paths import read_vectors


def payment(amount: int) -> bytes:
    return encode_receipt(
        block_pb2.Receipt(
            payment=block_pb2.PaymentReceipt(
                kind=block_pb2.PAYMENT_KIND_TRAINING, address=b"a" * 20, amount=amount, round=1
            )
        )
    )


def test_a_receipt_is_read() -> None:
    assert decode_receipt(payment(5)).payment.amount == 5


def test_golden_receipts() -> None:
    vector = read_vectors("receipts")
    receipts = [bytes.fromhex(raw) for raw in vector["receipts"]]
    kinds = {decode_receipt(raw).WhichOneof("kind") for raw in receipts}
    assert kinds == {"transaction", "payment", "task"}
    assert receipts_root(receipts).hex() == vector["root"]


def test_one_path_proves_one_receipt() -> None:
    receipts = [payment(amount) for amount in range(1, 8)]
    root = receipts_root(receipts)
    for index, receipt in enumerate(receipts):
        path = merkle.audit_path(receipts, index)
        assert merkle.verify_path(receipt, index, len(receipts), path, root)
        assert not merkle.verify_path(payment(100), index, len(receipts), path, root)
    with pytest.raises(IndexError):
        merkle.audit_path(receipts, 7)


@pytest.mark.parametrize("raw", [b"", b"\xff", payment(5) + b"\x78\x01", b"\x22\x00"])
def test_refused(raw: bytes) -> None:
    with pytest.raises(RefusalError) as caught:
        decode_receipt(raw)
    assert caught.value.code is DataCode.MALFORMED
