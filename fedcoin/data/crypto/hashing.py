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
    VOTE = "fedcoin/vote/v1"
    PROPOSAL = "fedcoin/proposal/v1"
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


def signing_digest(context: SigningContext, chain_id: str, body: bytes) -> bytes:
    """Compute the digest that Ed25519 signs: SHA-256(context || 00 || chain id || 00 || body).

    Args:
        context: The purpose of the signature.
        chain_id: The network that the signature is valid for.
        body: The bytes that are signed.

    Returns:
        The digest, 32 bytes.

    Raises:
        ValueError: When the chain id contains a NUL, which would make its end ambiguous.
    """
    if "\0" in chain_id:
        raise ValueError("a chain id holds no NUL")
    return sha256(context.value.encode("ascii"), b"\0", chain_id.encode(), b"\0", body)
