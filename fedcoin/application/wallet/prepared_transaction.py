"""A transaction of an account of several keys on its way from signer to signer, as a file.

The file says in words what is signed, beside the bytes. Whoever reads it compares both, so that
nobody signs other bytes than the words say. The files of several signers are put together in any
order.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

from fedcoin.application.errors import ApplicationCode
from fedcoin.application.wallet.key_policy_file import read_small_file
from fedcoin.contract.views import message_to_json
from fedcoin.data.crypto.addresses import format_address
from fedcoin.data.crypto.key_policies import (
    KeyPolicy,
    check_enough,
    make_policy,
    policy_digest,
    sign_for_policy,
)
from fedcoin.data.crypto.keys import SigningKey, verify_digest
from fedcoin.data.errors import DataCode, RefusalError
from fedcoin.data.messages import canonical
from fedcoin.data.messages.amounts import format_amount
from fedcoin.data.messages.chain_identity import ChainIdentity
from fedcoin.data.messages.genesis import is_chain_id
from fedcoin.data.messages.transactions import (
    Transaction,
    action_name,
    assemble_transaction,
    decode_transaction,
    policy_transaction_hash,
)
from fedcoin.v1.transaction_pb2 import TransactionBody

_FORMAT: Final = "fedcoin/prepared-transaction/v1"


@dataclass(frozen=True, slots=True)
class PreparedTransaction:
    """What the keys of an account are to sign, and what some of them have signed."""

    genesis_hash: bytes
    """The network to sign for: its genesis hash, 32 bytes."""
    policy: KeyPolicy
    """The account's keys."""
    body_bytes: bytes = field(repr=False)
    """The serialised TransactionBody."""
    signatures: Mapping[bytes, bytes] = field(default_factory=dict)
    """Valid signatures, 64 bytes each, by the account's keys that made them."""

    @property
    def body(self) -> TransactionBody:
        """The decoded body."""
        return TransactionBody.FromString(self.body_bytes)

    @property
    def hash(self) -> bytes:
        """The transaction's hash, 32 bytes, which no signature changes."""
        return policy_transaction_hash(self.policy, self.body_bytes)

    @property
    def num_missing(self) -> int:
        """How many signatures are missing."""
        return max(0, self.policy.threshold - len(self.signatures))

    def sign(self, key: SigningKey) -> PreparedTransaction:
        """Sign with one of the account's keys.

        Args:
            key: Signs; one that is held by another process may block for some ms.

        Returns:
            The same with one signature more.

        Raises:
            RefusalError: NOT_A_SIGNER when the key is not the account's; ALREADY_SIGNED when it has
                signed.
        """
        self._check_member(key.public_key)
        if key.public_key in self.signatures:
            raise RefusalError(
                ApplicationCode.ALREADY_SIGNED,
                f"the key {key.public_key.hex()} has signed this transaction already; it counts"
                " once: have another key of the account sign",
                field="key",
            )
        signature = sign_for_policy(self.policy, self.body_bytes, key, self.genesis_hash)
        return replace(self, signatures={**self.signatures, key.public_key: signature})

    def combine(self, other: PreparedTransaction) -> PreparedTransaction:
        """Add the signatures of another copy.

        Args:
            other: A copy that others signed.

        Returns:
            The same with the signatures of both.

        Raises:
            RefusalError: OTHER_TRANSACTION when `other` is not the same transaction.
        """
        if (other.hash, other.genesis_hash) != (self.hash, self.genesis_hash):
            raise RefusalError(
                ApplicationCode.OTHER_TRANSACTION,
                f"these are signatures of transaction {other.hash.hex()}, not of"
                f" {self.hash.hex()}: combine copies of one file",
                field="hash",
            )
        return replace(self, signatures={**self.signatures, **other.signatures})

    def assemble(self) -> Transaction:
        """Make the transaction that nodes take.

        Returns:
            The transaction, with as many signatures as the account needs.

        Raises:
            RefusalError: TOO_FEW_SIGNATURES when some are missing; another code of
                `decode_transaction`.
        """
        check_enough(self.policy, len(self.signatures))
        raw = assemble_transaction(self.policy, self.body_bytes, self.signatures)
        return decode_transaction(raw, ChainIdentity(self.body.chain_id, self.genesis_hash))

    def render(self) -> str:
        """Write the content of a file.

        Returns:
            JSON: hashes, keys and signatures in hex, and under `transaction` what the body says.
        """
        body = self.body
        name = action_name(body)
        content = {
            "format": _FORMAT,
            "transaction": {
                "hash": self.hash.hex(),
                "chain_id": body.chain_id,
                "genesis_hash": self.genesis_hash.hex(),
                "sender": format_address(self.policy.address),
                "nonce": body.nonce,
                "fee": format_amount(body.fee),
                "expiry_height": body.expiry_height,
                "action": name,
                "details": message_to_json(getattr(body, name)),
            },
            "threshold": self.policy.threshold,
            "public_keys": [key.hex() for key in self.policy.public_keys],
            "body": self.body_bytes.hex(),
            "signatures": {
                key.hex(): self.signatures[key].hex()
                for key in self.policy.public_keys
                if key in self.signatures
            },
        }
        return json.dumps(content, indent=1) + "\n"

    def _check_member(self, public_key: bytes) -> None:
        if public_key not in self.policy.public_keys:
            keys = ", ".join(key.hex() for key in self.policy.public_keys)
            raise RefusalError(
                ApplicationCode.NOT_A_SIGNER,
                f"{public_key.hex()} is no key of {format_address(self.policy.address)}: name one"
                " of its keys with --key",
                field="key",
                limit=keys,
            )


def read_prepared(path: Path) -> PreparedTransaction:
    """Read the file of a prepared transaction, and check that it is what its words say.

    Args:
        path: The file.

    Returns:
        The transaction, whose signatures are valid.

    Raises:
        RefusalError: NO_FILE when it cannot be read; BAD_TRANSACTION_FILE when it is no such file,
            or its words or anything else differ from what its body says; NOT_A_SIGNER when a key
            that is not the account's has signed; BAD_SIGNATURE when a signature is wrong.
    """
    text = read_small_file(path)
    try:
        prepared = _parse(json.loads(text))
        is_whole = text.strip() == prepared.render().strip()
    except RefusalError as refusal:
        if refusal.code in (ApplicationCode.NOT_A_SIGNER, DataCode.BAD_SIGNATURE):
            raise
        raise _bad_file(path, refusal.message) from None
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise _bad_file(path, f"{type(error).__name__}: {error}") from None
    if not is_whole:
        raise _bad_file(path, "its words differ from the bytes to be signed")
    return prepared


def _parse(content: Any) -> PreparedTransaction:
    policy = make_policy(content["threshold"], map(bytes.fromhex, content["public_keys"]))
    body_bytes = bytes.fromhex(content["body"])
    body = canonical.decode(TransactionBody, body_bytes)
    if not action_name(body):
        raise ValueError("the body holds no action that this program knows")
    if not is_chain_id(body.chain_id):
        # It is shown to those who sign, whose terminal it must not control.
        raise ValueError("the network's name has characters that no name has")
    genesis_hash = bytes.fromhex(content["transaction"]["genesis_hash"])
    prepared = PreparedTransaction(genesis_hash, policy, body_bytes)
    digest = policy_digest(policy, body_bytes, genesis_hash)
    signatures = {bytes.fromhex(k): bytes.fromhex(v) for k, v in content["signatures"].items()}
    for key, signature in signatures.items():
        prepared._check_member(key)
        if not verify_digest(key, digest, signature):
            raise RefusalError(
                DataCode.BAD_SIGNATURE,
                f"the signature of {key.hex()} is not one of this transaction",
                field="signatures",
            )
    return replace(prepared, signatures=signatures)


def _bad_file(path: Path, problem: str) -> RefusalError:
    return RefusalError(
        ApplicationCode.BAD_TRANSACTION_FILE,
        f"{path} is not a prepared transaction ({problem[:300]}): ask its author for it again",
        field="file",
    )
