"""SHA-256, and the digest that each kind of signature is over."""

from __future__ import annotations

import hashlib
from enum import Enum
from typing import Final

HASH_BYTES: Final = 32
"""Every hash of the protocol is SHA-256."""


class SigningContext(str, Enum):
    """What a signature is for; no signature of one kind is valid as another."""

    TX = "fedcoin/tx/v1"
    VOTE = "fedcoin/vote/v1"
    PROPOSAL = "fedcoin/proposal/v1"
    UPDATE = "fedcoin/update/v1"
    HELLO = "fedcoin/hello/v1"
    REGISTER = "fedcoin/register/v1"


def sha256(*parts: bytes) -> bytes:
    """Hash the concatenation of the parts; 32 bytes."""
    digest = hashlib.sha256()
    for part in parts:
        digest.update(part)
    return digest.digest()


def signing_digest(context: SigningContext, chain_id: str, body: bytes) -> bytes:
    """SHA-256(context || 00 || chain id || 00 || body): what Ed25519 signs, 32 bytes.

    Raises `ValueError` when the chain id holds a NUL, which would blur its end.
    """
    if "\0" in chain_id:
        raise ValueError("a chain id holds no NUL")
    return sha256(context.value.encode("ascii"), b"\0", chain_id.encode(), b"\0", body)
