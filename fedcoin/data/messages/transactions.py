"""Transactions: one action each, signed by one key or by k of an account's n keys."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from fedcoin.data.crypto.addresses import derive_address
from fedcoin.data.crypto.hashing import SigningContext, sha256
from fedcoin.data.crypto.key_policies import (
    MAX_KEYS,
    KeyPolicy,
    check_enough,
    make_policy,
    policy_digest,
)
from fedcoin.data.crypto.keys import (
    PUBLIC_KEY_BYTES,
    SIGNATURE_BYTES,
    SigningKey,
    verify_digest,
    verify_signature,
)
from fedcoin.data.errors import DataCode, RefusalError
from fedcoin.data.field_checks import check_length, check_range, check_size
from fedcoin.data.messages import canonical
from fedcoin.data.messages.chain_identity import ChainIdentity
from fedcoin.v1.transaction_pb2 import KeyPolicy as KeyPolicyMessage
from fedcoin.v1.transaction_pb2 import SignedTransaction, TransactionBody

MAX_TRANSACTION_BYTES: Final = 1 << 20
"""The default of `Parameters.max_transaction_bytes`."""

_ID_CONTEXT: Final = b"fedcoin/txid/v1\0"
_POLICY_ID_CONTEXT: Final = b"fedcoin/policy-txid/v1\0"

_BODY_TAG: Final = b"\x0a"

_BYTES_OF_SIGNER: Final = 100
"""Key and signature, with their tags and lengths: what each signature of a transaction takes."""


@dataclass(frozen=True, slots=True)
class Transaction:
    """A transaction whose signatures were verified."""

    raw: bytes = field(repr=False)
    """The serialised SignedTransaction."""
    hash: bytes
    """The transaction's id, 32 bytes; see `transaction_hash` and `policy_transaction_hash`."""
    sender: bytes
    """The address of `public_key` or of `policy`, 20 bytes."""
    public_key: bytes
    """The sender's Ed25519 key, 32 bytes; empty when the sender is an account of several keys."""
    body: TransactionBody = field(compare=False, repr=False)
    """The decoded body. Must not be changed."""
    body_bytes: bytes = field(repr=False)
    """The serialised TransactionBody, which was signed."""
    policy: KeyPolicy | None = None
    """The keys of the sender's account, when it has several."""
    signers: tuple[bytes, ...] = field(default=(), repr=False)
    """Of an account of several keys: those that signed, in the policy's order."""


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


def policy_transaction_hash(policy: KeyPolicy, body: bytes) -> bytes:
    """Compute the id of a transaction of an account of several keys.

    It leaves out the signatures, so that it does not depend on which keys sign.

    Args:
        policy: The sender's policy.
        body: The serialised TransactionBody.

    Returns:
        SHA-256("fedcoin/policy-txid/v1" || 00 || policy hash || body), 32 bytes.
    """
    return sha256(_POLICY_ID_CONTEXT, policy.hash, body)


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
            MALFORMED when it is not canonical, or a key or signature has a wrong length; BAD_POLICY
            or TOO_FEW_SIGNATURES when the keys of an account of several keys are not allowed, or
            fewer than must have signed; UNKNOWN_ACTION when it does not hold exactly one action
            that this program knows; WRONG_CHAIN when it names another chain id; BAD_SIGNATURE when
            a key has not signed it for this network.
    """
    check_size(raw, max_bytes, "transaction")
    envelope = canonical.decode(SignedTransaction, raw)
    policy = _check_signers(envelope)
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
    _verify_signatures(envelope, policy, chain.genesis_hash)
    return _transaction(raw, envelope, body, policy)


def decode_stored_transaction(raw: bytes) -> Transaction:
    """Parse a transaction of a final block, without checking it again.

    Args:
        raw: A serialised SignedTransaction that `decode_transaction` accepted before it was stored.

    Returns:
        What `decode_transaction` returned.
    """
    envelope = SignedTransaction.FromString(raw)
    body = TransactionBody.FromString(envelope.body)
    return _transaction(raw, envelope, body, _stored_policy(envelope))


def stored_transaction_hash(raw: bytes) -> bytes:
    """Compute the hash of a transaction of a final block, without reading its body.

    Args:
        raw: A serialised SignedTransaction that `decode_transaction` accepted before it was stored.

    Returns:
        The transaction's hash, 32 bytes.
    """
    envelope = SignedTransaction.FromString(raw)
    policy = _stored_policy(envelope)
    if policy is not None:
        return policy_transaction_hash(policy, envelope.body)
    return transaction_hash(envelope.public_key, envelope.body)


def stored_sender(envelope: SignedTransaction) -> bytes:
    """Derive the sender of a transaction of a final block.

    Args:
        envelope: The parsed transaction.

    Returns:
        The address of its key or of its policy, 20 bytes.
    """
    policy = _stored_policy(envelope)
    return derive_address(envelope.public_key) if policy is None else policy.address


def estimate_signatures(raw: bytes) -> int:
    """Estimate how many signatures must be verified, before anything is decoded.

    Args:
        raw: A serialised SignedTransaction, or any bytes.

    Returns:
        For a canonical transaction at least the number of its signatures; for any bytes 1 to
        `MAX_KEYS`.
    """
    # The body comes first: a tag, its length as a varint, and its bytes.
    if raw[:1] != _BODY_TAG:
        return 1
    length, index = 0, 1
    for index in range(1, min(len(raw), 6)):
        length |= (raw[index] & 127) << 7 * (index - 1)
        if raw[index] < 128:
            break
    return min(MAX_KEYS, max(1, (len(raw) - index - 1 - length) // _BYTES_OF_SIGNER))


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
    body_bytes = encode_body(body)
    envelope = SignedTransaction(
        body=body_bytes,
        public_key=key.public_key,
        signature=key.sign(SigningContext.TX, genesis_hash, body_bytes),
    )
    # Decoded again, because the caller may change the body.
    signed_body = TransactionBody.FromString(body_bytes)
    return _transaction(canonical.encode(envelope), envelope, signed_body, None)


def encode_body(body: TransactionBody) -> bytes:
    """Serialise what a transaction's signers sign.

    Args:
        body: The body; it names the network's chain id.

    Returns:
        The body's canonical encoding.

    Raises:
        RefusalError: UNKNOWN_ACTION when the body holds no action.
    """
    if body.WhichOneof("action") is None:
        raise RefusalError(DataCode.UNKNOWN_ACTION, "the body holds no action", field="action")
    return canonical.encode(body)


def assemble_transaction(
    policy: KeyPolicy, body: bytes, signatures: Mapping[bytes, bytes]
) -> bytes:
    """Put the signatures of an account's keys together; of more than it takes, the first ones.

    Args:
        policy: The account's policy.
        body: The serialised TransactionBody.
        signatures: Signatures, 64 bytes each, by the keys that made them.

    Returns:
        A serialised SignedTransaction, for `decode_transaction` to check.
    """
    signers = [key for key in policy.public_keys if key in signatures][: policy.threshold]
    envelope = SignedTransaction(
        body=body,
        policy=KeyPolicyMessage(threshold=policy.threshold, public_keys=policy.public_keys),
        signatures=[signatures[key] if key in signers else b"" for key in policy.public_keys],
    )
    return canonical.encode(envelope)


def action_name(body: TransactionBody) -> str:
    """Name the action of a transaction.

    Args:
        body: The transaction's body.

    Returns:
        The name of the action's field, such as `open_task`; empty when there is no action.
    """
    return body.WhichOneof("action") or ""


def _check_signers(envelope: SignedTransaction) -> KeyPolicy | None:
    """Check the form of keys and signatures; return the policy of an account of several keys."""
    if not envelope.HasField("policy"):
        check_length(envelope.public_key, PUBLIC_KEY_BYTES, "public_key")
        check_length(envelope.signature, SIGNATURE_BYTES, "signature")
        check_range(len(envelope.signatures), 0, 0, "signatures")
        return None
    check_length(envelope.public_key, 0, "public_key")
    check_length(envelope.signature, 0, "signature")
    policy = make_policy(envelope.policy.threshold, envelope.policy.public_keys)
    num_keys = len(policy.public_keys)
    check_range(len(envelope.signatures), num_keys, num_keys, "signatures")
    given = [signature for signature in envelope.signatures if signature]
    for signature in given:
        check_length(signature, SIGNATURE_BYTES, "signatures")
    check_enough(policy, len(given))
    check_range(len(given), 0, policy.threshold, "signatures")
    return policy


def _verify_signatures(
    envelope: SignedTransaction, policy: KeyPolicy | None, genesis_hash: bytes
) -> None:
    if policy is None:
        field, whose = "signature", "public_key"
        is_valid = verify_signature(
            envelope.public_key,
            SigningContext.TX,
            genesis_hash,
            envelope.body,
            envelope.signature,
        )
    else:
        field, whose = "signatures", "the policy's key of its place"
        # All signatures cover one digest, which for a long body takes as long as to verify one.
        digest = policy_digest(policy, envelope.body, genesis_hash)
        is_valid = all(
            verify_digest(key, digest, signature)
            for key, signature in zip(policy.public_keys, envelope.signatures, strict=True)
            if signature
        )
    if not is_valid:
        raise RefusalError(
            DataCode.BAD_SIGNATURE,
            f"{field} holds what is no signature of this body by {whose} for the network with"
            f" genesis {genesis_hash.hex()}",
            field=field,
        )


def _stored_policy(envelope: SignedTransaction) -> KeyPolicy | None:
    if not envelope.HasField("policy"):
        return None
    return make_policy(envelope.policy.threshold, envelope.policy.public_keys)


def _transaction(
    raw: bytes, envelope: SignedTransaction, body: TransactionBody, policy: KeyPolicy | None
) -> Transaction:
    if policy is None:
        return Transaction(
            raw=raw,
            hash=transaction_hash(envelope.public_key, envelope.body),
            sender=derive_address(envelope.public_key),
            public_key=envelope.public_key,
            body=body,
            body_bytes=envelope.body,
        )
    keyed = zip(policy.public_keys, envelope.signatures, strict=True)
    return Transaction(
        raw=raw,
        hash=policy_transaction_hash(policy, envelope.body),
        sender=policy.address,
        public_key=b"",
        body=body,
        body_bytes=envelope.body,
        policy=policy,
        signers=tuple(key for key, signature in keyed if signature),
    )
