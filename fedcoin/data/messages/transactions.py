"""Transactions: one signed action each."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from fedcoin.data.crypto.addresses import derive_address
from fedcoin.data.crypto.hashing import SigningContext, sha256
from fedcoin.data.crypto.keys import PUBLIC_KEY_BYTES, SIGNATURE_BYTES, KeyPair, verify_signature
from fedcoin.data.errors import DataCode, RefusalError
from fedcoin.data.field_checks import check_length, check_size
from fedcoin.data.messages import canonical
from fedcoin.v1.transaction_pb2 import SignedTransaction, TransactionBody

MAX_TRANSACTION_BYTES: Final = 1 << 20
"""What `Parameters.max_transaction_bytes` is when genesis does not say."""

_ID_CONTEXT: Final = b"fedcoin/txid/v1\0"


@dataclass(frozen=True, slots=True)
class Transaction:
    """A transaction whose signature was checked.

    `raw` is the serialised SignedTransaction, `hash` its 32-byte id, `sender` the address of
    `public_key`. `body` must not be changed; `body_bytes` is what was signed.
    """

    raw: bytes = field(repr=False)
    hash: bytes
    sender: bytes
    public_key: bytes
    body: TransactionBody = field(compare=False, repr=False)
    body_bytes: bytes = field(repr=False)


def transaction_hash(public_key: bytes, body: bytes) -> bytes:
    """SHA-256("fedcoin/txid/v1" || 00 || public key || body), 32 bytes.

    The signature is left out, so that nobody can give one transaction a second hash.
    """
    return sha256(_ID_CONTEXT, public_key, body)


def decode_transaction(
    raw: bytes, chain_id: str, max_bytes: int = MAX_TRANSACTION_BYTES
) -> Transaction:
    """Read and check a serialised SignedTransaction.

    Checked in this order: the size (TOO_LARGE), the structure (MALFORMED), that there is
    exactly one action that this version knows (UNKNOWN_ACTION), the chain (WRONG_CHAIN), the
    signature (BAD_SIGNATURE). Raises `Refusal` with these codes. Whether it may be applied is
    for the ledger to say.
    """
    check_size(raw, max_bytes, "transaction")
    envelope = canonical.decode(SignedTransaction, raw)
    check_length(envelope.public_key, PUBLIC_KEY_BYTES, "public_key")
    check_length(envelope.signature, SIGNATURE_BYTES, "signature")
    body = canonical.parse(TransactionBody, envelope.body)
    if body.WhichOneof("action") is None:
        raise RefusalError(
            DataCode.UNKNOWN_ACTION,
            "the transaction holds no action that this version knows",
            field="action",
        )
    canonical.check_canonical(body, envelope.body)
    if body.chain_id != chain_id:
        raise RefusalError(
            DataCode.WRONG_CHAIN,
            f"the transaction is for chain {body.chain_id[:64]!r}; this is {chain_id!r}",
            field="chain_id",
            limit=chain_id,
        )
    if not verify_signature(
        envelope.public_key, SigningContext.TX, chain_id, envelope.body, envelope.signature
    ):
        raise RefusalError(
            DataCode.BAD_SIGNATURE,
            "the signature is not the public key's signature of this body on this chain",
            field="signature",
        )
    return _transaction(raw, envelope, body)


def sign_transaction(body: TransactionBody, key: KeyPair) -> Transaction:
    """Sign a body for the chain that it names.

    Raises `Refusal` (UNKNOWN_ACTION) when it holds no action.
    """
    if body.WhichOneof("action") is None:
        raise RefusalError(DataCode.UNKNOWN_ACTION, "the body holds no action", field="action")
    written = canonical.encode(body)
    envelope = SignedTransaction(
        body=written,
        public_key=key.public_key,
        signature=key.sign(SigningContext.TX, body.chain_id, written),
    )
    return _transaction(canonical.encode(envelope), envelope, TransactionBody.FromString(written))


def action_name(body: TransactionBody) -> str:
    """The name of the action's field, such as `open_task`; empty when there is none."""
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
