"""Receipts: what a block did, each provable by one path to the header's `receipts_root`."""

from __future__ import annotations

from collections.abc import Sequence

from fedcoin.data.crypto import merkle
from fedcoin.data.errors import DataCode, RefusalError
from fedcoin.data.messages import canonical
from fedcoin.v1.block_pb2 import Receipt


def encode_receipt(receipt: Receipt) -> bytes:
    """The bytes of a receipt that the root is over."""
    return canonical.encode(receipt)


def decode_receipt(raw: bytes) -> Receipt:
    """Read a receipt. Raises `Refusal` (MALFORMED) when it is none, or of no known kind."""
    receipt = canonical.decode(Receipt, raw)
    if receipt.WhichOneof("kind") is None:
        raise RefusalError(DataCode.MALFORMED, "the receipt is of no known kind", field="kind")
    return receipt


def receipts_root(receipts: Sequence[bytes]) -> bytes:
    """The Merkle root over encoded receipts in their order, 32 bytes."""
    return merkle.root(receipts)


def receipt_path(receipts: Sequence[bytes], index: int) -> list[bytes]:
    """The path that proves receipt `index` (from 0) against the root.

    Raises `IndexError` when there is no such receipt.
    """
    return merkle.audit_path(receipts, index)
