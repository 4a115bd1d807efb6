"""Receipts: what a block did. One Merkle path proves each against the header's `receipts_root`."""

from __future__ import annotations

from collections.abc import Sequence

from fedcoin.data.crypto import merkle
from fedcoin.data.errors import DataCode, RefusalError
from fedcoin.data.messages import canonical
from fedcoin.v1.block_pb2 import Receipt


def encode_receipt(receipt: Receipt) -> bytes:
    """Encode a receipt as it is hashed and stored.

    Args:
        receipt: What one block did in one respect, such as a payment.

    Returns:
        The canonical protobuf encoding of the Receipt.
    """
    return canonical.encode(receipt)


def decode_receipt(raw: bytes) -> Receipt:
    """Decode a receipt.

    Args:
        raw: The serialised Receipt.

    Returns:
        The decoded receipt, of a known kind.

    Raises:
        RefusalError: MALFORMED when it is not the canonical encoding of a receipt, or of a kind
            that this program does not know.
    """
    receipt = canonical.decode(Receipt, raw)
    if receipt.WhichOneof("kind") is None:
        raise RefusalError(DataCode.MALFORMED, "the receipt is of an unknown kind", field="kind")
    return receipt


def receipts_root(receipts: Sequence[bytes]) -> bytes:
    """Compute the Merkle root that a header commits to.

    Args:
        receipts: The block's serialised receipts, in order.

    Returns:
        The root hash, 32 bytes.
    """
    return merkle.root(receipts)
