"""SHA-256, and the digests that signatures cover."""

from __future__ import annotations

import hashlib
from enum import Enum
from typing import Final

HASH_BYTES: Final = 32
"""The length of every hash of the protocol, in bytes: SHA-256."""


class SigningContext(str, Enum):
    """The purpose of a signature. A signature for one purpose is not valid for another."""

    TX = "fedcoin/tx/v1"
    VOTE = "fedcoin/vote/v2"
    PROPOSAL = "fedcoin/proposal/v2"
    UPDATE = "fedcoin/update/v1"
    HELLO = "fedcoin/hello/v1"
    REGISTER = "fedcoin/register/v1"


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


def signing_digest(context: SigningContext, network: str | bytes, body: bytes) -> bytes:
    """Compute the digest that Ed25519 signs.

    It is SHA-256(context || 00 || genesis hash || body) for votes and proposals, so that a network
    that starts again under its old name accepts none of the old ones, and SHA-256(context || 00 ||
    chain id || 00 || body) for everything else.

    Args:
        context: The purpose of the signature.
        network: The network that the signature is valid for: the hash of its genesis, 32 bytes, or
            its chain id.
        body: The bytes that are signed.

    Returns:
        The digest, 32 bytes.

    Raises:
        ValueError: When the genesis hash does not have 32 bytes, or the chain id contains a NUL:
            then it would be ambiguous where the body begins.
    """
    label = context.value.encode("ascii")
    if isinstance(network, bytes):
        if len(network) != HASH_BYTES:
            raise ValueError(f"a genesis hash has {HASH_BYTES} bytes, not {len(network)}")
        return sha256(label, b"\0", network, body)
    if "\0" in network:
        raise ValueError("a chain id holds no NUL")
    return sha256(label, b"\0", network.encode(), b"\0", body)
