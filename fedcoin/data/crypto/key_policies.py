"""Accounts of several keys, k of n of which must sign: the policy, its hash and its address.

The address commits to the policy: nobody can spend its coins under another one. A policy's hash
covers a label and at least 72 bytes, and a key's address is the hash of 32 bytes, so that no text
is both.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Final

from fedcoin.data.crypto.addresses import ADDRESS_BYTES
from fedcoin.data.crypto.hashing import SigningContext, sha256, signing_digest
from fedcoin.data.crypto.keys import PUBLIC_KEY_BYTES, SIGNATURE_BYTES, SigningKey
from fedcoin.data.errors import DataCode, RefusalError
from fedcoin.data.field_checks import check_length, check_range

MIN_KEYS: Final = 2
"""The smallest number of keys of a policy."""
MAX_KEYS: Final = 16
"""The largest number of keys of a policy."""

_POLICY_CONTEXT: Final = b"fedcoin/policy/v1\0"


@dataclass(frozen=True, slots=True)
class KeyPolicy:
    """Which keys an account has, and how many of them must sign. Made by `make_policy`."""

    threshold: int
    """How many keys must sign, from 1 to the number of keys."""
    public_keys: tuple[bytes, ...]
    """2 to 16 different Ed25519 keys, 32 bytes each, in the order of their bytes."""
    hash: bytes = field(repr=False)
    """SHA-256 of the policy, 32 bytes; see docs/PROTOCOL.md, section 4."""

    @property
    def address(self) -> bytes:
        """The address of the account, 20 bytes."""
        return self.hash[:ADDRESS_BYTES]

    @property
    def num_bytes(self) -> int:
        """What keys and signatures of each transaction take beside its body, in bytes."""
        return PUBLIC_KEY_BYTES * len(self.public_keys) + SIGNATURE_BYTES * self.threshold

    def __str__(self) -> str:
        """Write how many must sign, such as `2 of 3`."""
        return f"{self.threshold} of {len(self.public_keys)}"


def make_policy(threshold: int, public_keys: Iterable[bytes]) -> KeyPolicy:
    """Make the policy of an account of several keys.

    Args:
        threshold: How many keys must sign.
        public_keys: The Ed25519 keys, 32 bytes each, in the order of their bytes.

    Returns:
        The policy with its hash.

    Raises:
        RefusalError: BAD_POLICY when there are fewer than `MIN_KEYS` or more than `MAX_KEYS` keys,
            one has a wrong length, they are not in strictly rising order, or `threshold` is not 1
            to their number.
    """
    keys = tuple(public_keys)
    code = DataCode.BAD_POLICY
    check_range(len(keys), MIN_KEYS, MAX_KEYS, "policy.public_keys", code=code)
    check_range(threshold, 1, len(keys), "policy.threshold", code=code)
    for key in keys:
        check_length(key, PUBLIC_KEY_BYTES, "policy.public_keys", code=code)
    if any(first >= second for first, second in pairwise(keys)):
        raise RefusalError(
            code,
            "policy.public_keys has a key twice, or is not in the order of the keys' bytes",
            field="policy.public_keys",
        )
    return KeyPolicy(threshold, keys, _compute_hash(threshold, keys))


def sign_for_policy(policy: KeyPolicy, body: bytes, key: SigningKey, genesis_hash: bytes) -> bytes:
    """Sign a transaction of an account of several keys with one of them.

    The signature covers the policy, so that it counts for no other account of the key.

    Args:
        policy: The account's policy.
        body: The serialised TransactionBody.
        key: One of the policy's keys.
        genesis_hash: The network's genesis hash, 32 bytes.

    Returns:
        The signature, 64 bytes.
    """
    return key.sign(SigningContext.POLICY_TX, genesis_hash, policy.hash + body)


def policy_digest(policy: KeyPolicy, body: bytes, genesis_hash: bytes) -> bytes:
    """Compute the digest that each key of an account signs.

    Args:
        policy: The account's policy.
        body: The serialised TransactionBody.
        genesis_hash: The network's genesis hash, 32 bytes.

    Returns:
        SHA-256("fedcoin/policy-tx/v2" || 00 || genesis hash || policy hash || body), 32 bytes.
    """
    return signing_digest(SigningContext.POLICY_TX, genesis_hash, policy.hash + body)


def check_enough(policy: KeyPolicy, num_signatures: int) -> None:
    """Check that enough keys of an account have signed.

    Args:
        policy: The account's policy.
        num_signatures: How many of its keys have signed.

    Raises:
        RefusalError: TOO_FEW_SIGNATURES when they are fewer than must.
    """
    if num_signatures < policy.threshold:
        raise RefusalError(
            DataCode.TOO_FEW_SIGNATURES,
            f"{num_signatures} of the account's {len(policy.public_keys)} keys have signed;"
            f" {policy.threshold} must",
            field="signatures",
            limit=str(policy.threshold),
        )


def _compute_hash(threshold: int, keys: tuple[bytes, ...]) -> bytes:
    numbers = threshold.to_bytes(4, "big"), len(keys).to_bytes(4, "big")
    return sha256(_POLICY_CONTEXT, *numbers, *keys)
