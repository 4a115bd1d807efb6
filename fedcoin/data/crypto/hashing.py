"""SHA-256, and the digests that signatures cover."""

from __future__ import annotations

import hashlib
from enum import Enum
from typing import Final

HASH_BYTES: Final = 32
"""The length of every hash of the protocol, in bytes: SHA-256."""


class SigningContext(str, Enum):
    """The purpose of a signature. A signature for one purpose is not valid for another."""

    TX = "fedcoin/tx/v2"
    """A transaction, by its sender."""
    POLICY_TX = "fedcoin/policy-tx/v2"
    """A transaction of an account of several keys, by one of them."""
    VOTE = "fedcoin/vote/v2"
    """A prevote or precommit, by a validator."""
    PROPOSAL = "fedcoin/proposal/v2"
    """A proposed block, by the proposer."""
    UPDATE = "fedcoin/update/v2"
    """A trained update, by a client."""
    RECEIPT = "fedcoin/receipt/v2"
    """The receipt of an update, by the coordinator."""
    HELLO = "fedcoin/hello/v2"
    """A handshake, by a node."""
    REGISTER = "fedcoin/register/v2"
    """The registration of a client with a coordinator, by the client."""
    READER = "fedcoin/reader/v2"
    """The request to a node for artifacts of a private campaign, by a reader."""
    CLIENT_READER = "fedcoin/client-reader/v2"
    """The request to a coordinator for what its clients train from, by a client."""


def sha256(*parts: bytes) -> bytes:
    """Hash the concatenation of some byte strings.

    Args:
        *parts: The byte strings, in order.

    Returns:
        SHA-256 of all parts together, 32 bytes.
    """
    digest = hashlib.sha256()
    for part in parts:
        digest.update(part)
    return digest.digest()


def signing_digest(context: SigningContext, genesis_hash: bytes, body: bytes) -> bytes:
    """Compute the digest that Ed25519 signs: SHA-256(context || 00 || genesis hash || body).

    Args:
        context: The purpose of the signature.
        genesis_hash: The genesis hash of the network that the signature is valid for, 32 bytes.
        body: The bytes that are signed.

    Returns:
        The digest, 32 bytes.

    Raises:
        ValueError: When the genesis hash does not have 32 bytes, which would make the start of the
            body ambiguous.
    """
    if len(genesis_hash) != HASH_BYTES:
        raise ValueError(f"the genesis hash has {len(genesis_hash)} bytes; it must have 32")
    return sha256(context.value.encode("ascii"), b"\0", genesis_hash, body)
