"""Receipts for client updates: a server's signed statement that it took an update."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from fedcoin.data.crypto.addresses import derive_address
from fedcoin.data.crypto.hashing import SigningContext
from fedcoin.data.crypto.keys import PUBLIC_KEY_BYTES, SIGNATURE_BYTES, KeyPair, verify_signature
from fedcoin.data.errors import DataCode, RefusalError
from fedcoin.data.field_checks import check_length, check_range, check_size
from fedcoin.data.messages import canonical
from fedcoin.data.messages.updates import Update
from fedcoin.v1.task_pb2 import SignedReceipt, UpdateReceipt

_MAX_RECEIPT_BYTES: Final = 320
"""The largest size of a serialised UpdateReceipt, in bytes."""


@dataclass(frozen=True, slots=True)
class SignedUpdateReceipt:
    """A receipt whose signature was verified."""

    update_body: bytes
    """The serialised ClientUpdate that the server took."""
    time_ms: int
    """The time of the receipt by the server's clock, Unix ms."""
    server: bytes
    """The address of the key that signed the receipt, 20 bytes."""
    envelope: SignedReceipt = field(compare=False, repr=False)
    """The signed message, as it is sent and stored; must not be changed."""

    def is_for(self, update: Update) -> bool:
        """Tell whether the receipt is for an update.

        Args:
            update: A client's verified update.

        Returns:
            True when the receipt holds the bytes that the client signed, unchanged.
        """
        return self.update_body == update.envelope.body


def sign_receipt(update: Update, time_ms: int, key: KeyPair, genesis_hash: bytes) -> SignedReceipt:
    """Sign a receipt for an update.

    Args:
        update: The update that the server holds.
        time_ms: The server's time, Unix ms; at least 1.
        key: The server's key.
        genesis_hash: The genesis hash of the network that it is signed for, 32 bytes.

    Returns:
        The signed message, ready to be sent.
    """
    body = canonical.encode(UpdateReceipt(update=update.envelope.body, time_ms=time_ms))
    return SignedReceipt(
        body=body,
        public_key=key.public_key,
        signature=key.sign(SigningContext.RECEIPT, genesis_hash, body),
    )


def decode_update_receipt(envelope: SignedReceipt, genesis_hash: bytes) -> SignedUpdateReceipt:
    """Decode a receipt and verify its signature.

    Args:
        envelope: The signed message, as it was received.
        genesis_hash: The genesis hash of the network that it must be signed for, 32 bytes.

    Returns:
        The receipt. The caller checks which update it is for, and whose key signed it.

    Raises:
        RefusalError: TOO_LARGE when the body has too many bytes; MALFORMED when it is not
            well-formed or has no time; BAD_SIGNATURE when the signature is not of this network.
    """
    check_size(envelope.body, _MAX_RECEIPT_BYTES, "receipt.body")
    check_length(envelope.public_key, PUBLIC_KEY_BYTES, "receipt.public_key")
    check_length(envelope.signature, SIGNATURE_BYTES, "receipt.signature")
    body = canonical.decode(UpdateReceipt, envelope.body)
    check_range(body.time_ms, 1, 2**63 - 1, "receipt.time_ms")
    if not verify_signature(
        envelope.public_key, SigningContext.RECEIPT, genesis_hash, envelope.body, envelope.signature
    ):
        raise RefusalError(
            DataCode.BAD_SIGNATURE,
            "receipt.signature is not a signature of this receipt by receipt.public_key for this "
            "network",
            field="receipt.signature",
        )
    return SignedUpdateReceipt(
        update_body=body.update,
        time_ms=body.time_ms,
        server=derive_address(envelope.public_key),
        envelope=envelope,
    )
