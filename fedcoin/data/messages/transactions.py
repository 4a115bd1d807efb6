"""Transactions: one signed action each."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from fedcoin.data.crypto.addresses import derive_address
from fedcoin.data.crypto.hashing import SigningContext, sha256
from fedcoin.data.crypto.keys import PUBLIC_KEY_BYTES, SIGNATURE_BYTES, SigningKey, verify_signature
from fedcoin.data.errors import DataCode, RefusalError
from fedcoin.data.field_checks import check_length, check_size
from fedcoin.data.messages import canonical
from fedcoin.data.messages.chain_identity import ChainIdentity
from fedcoin.v1.transaction_pb2 import SignedTransaction, TransactionBody

MAX_TRANSACTION_BYTES: Final = 1 << 20
"""The default of `Parameters.max_transaction_bytes`."""

_ID_CONTEXT: Final = b"fedcoin/txid/v1\0"


@dataclass(frozen=True, slots=True)
class Transaction:
    """A transaction whose signature was verified."""

    raw: bytes = field(repr=False)
    """The serialised SignedTransaction."""
    hash: bytes
    """The transaction's id, 32 bytes; see `transaction_hash`."""
    sender: bytes
    """The address of `public_key`, 20 bytes."""
    public_key: bytes
    """The sender's Ed25519 key, 32 bytes."""
    body: TransactionBody = field(compare=False, repr=False)
    """The decoded body. Must not be changed."""
    body_bytes: bytes = field(repr=False)
    """The serialised TransactionBody, which was signed."""


def transaction_hash(public_key: bytes, body: bytes) -> bytes:
    """Compute the id of a transaction: SHA-256("fedcoin/txid/v1" || 00 || public key || body).

    It leaves out the signature, so that a second valid signature does not give a second id.

    Args:
        public_key: The sender's Ed25519 key, 32 bytes.
        body: The serialised TransactionBody.

    Returns:
        The hash, 32 bytes.
    """
    return sha256(_ID_CONTEXT, public_key, body)


def decode_transaction(
    raw: bytes, chain: ChainIdentity, max_bytes: int = MAX_TRANSACTION_BYTES
) -> Transaction:
    """Decode a transaction and verify its signature.

    Whether the ledger may apply it is checked by the contract layer.

    Args:
        raw: The serialised SignedTransaction.
        chain: The network that it must be signed for.
        max_bytes: The largest size allowed, in bytes.

    Returns:
        The transaction with its hash and its sender, derived from the key.

    Raises:
        RefusalError: Checked in this order: TOO_LARGE when it has more than `max_bytes` bytes;
            MALFORMED when it is not canonical, or a key or signature has a wrong length;
            UNKNOWN_ACTION when it does not hold exactly one action that this program knows;
            WRONG_CHAIN when it names another chain id; BAD_SIGNATURE when the key has not signed it
            for this network.
    """
    check_size(raw, max_bytes, "transaction")
    envelope = canonical.decode(SignedTransaction, raw)
    check_length(envelope.public_key, PUBLIC_KEY_BYTES, "public_key")
    check_length(envelope.signature, SIGNATURE_BYTES, "signature")
    body = canonical.parse(TransactionBody, envelope.body)
    if body.WhichOneof("action") is None:
        raise RefusalError(
            DataCode.UNKNOWN_ACTION,
            "the transaction holds no action that this program knows",
            field="action",
        )
    canonical.check_canonical(body, envelope.body)
    if body.chain_id != chain.chain_id:
        raise RefusalError(
            DataCode.WRONG_CHAIN,
            f"the transaction is for chain {body.chain_id[:64]!r}; this is {chain.chain_id!r}",
            field="chain_id",
            limit=chain.chain_id,
        )
    if not verify_signature(
        envelope.public_key,
        SigningContext.TX,
        chain.genesis_hash,
        envelope.body,
        envelope.signature,
    ):
        raise RefusalError(
            DataCode.BAD_SIGNATURE,
            "signature is not a signature of this body by public_key for the network with genesis "
            f"{chain.genesis_hash.hex()}",
            field="signature",
        )
    return _transaction(raw, envelope, body)


def decode_stored_transaction(raw: bytes) -> Transaction:
    """Parse a transaction of a final block, without checking it again.

    Args:
        raw: A serialised SignedTransaction that `decode_transaction` accepted before it was stored.

    Returns:
        What `decode_transaction` returned.
    """
    envelope = SignedTransaction.FromString(raw)
    return _transaction(raw, envelope, TransactionBody.FromString(envelope.body))


def stored_transaction_hash(raw: bytes) -> bytes:
    """Compute the hash of a transaction of a final block, without reading its body.

    Args:
        raw: A serialised SignedTransaction that `decode_transaction` accepted before it was stored.

    Returns:
        The transaction's hash, 32 bytes.
    """
    envelope = SignedTransaction.FromString(raw)
    return transaction_hash(envelope.public_key, envelope.body)


def sign_transaction(body: TransactionBody, key: SigningKey, genesis_hash: bytes) -> Transaction:
    """Sign a transaction.

    Args:
        body: What to sign; it names the network's chain id.
        key: The sender's key.
        genesis_hash: The network's genesis hash, 32 bytes.

    Returns:
        The transaction with its hash and its serialised form.

    Raises:
        RefusalError: UNKNOWN_ACTION when the body holds no action.
    """
    if body.WhichOneof("action") is None:
        raise RefusalError(DataCode.UNKNOWN_ACTION, "the body holds no action", field="action")
    body_bytes = canonical.encode(body)
    envelope = SignedTransaction(
        body=body_bytes,
        public_key=key.public_key,
        signature=key.sign(SigningContext.TX, genesis_hash, body_bytes),
    )
    # Decoded again, because the caller may change the body.
    signed_body = TransactionBody.FromString(body_bytes)
    return _transaction(canonical.encode(envelope), envelope, signed_body)


def action_name(body: TransactionBody) -> str:
    """Name the action of a transaction.

    Args:
        body: The transaction's body.

    Returns:
        The name of the action's field, such as `open_task`; empty when there is no action.
    """
    return body.WhichOneof("action") or ""


def _transaction(raw: bytes, envelope: SignedTransaction, body: TransactionBody) -> Transaction:
    return Transaction(
        raw=raw,
        hash=transaction_hash(envelope.public_key, envelope.body),
        sender=derive_address(envelope.public_key),
        public_key=envelope.public_key,
        body=body,
        body_bytes=envelope.body,
    )
