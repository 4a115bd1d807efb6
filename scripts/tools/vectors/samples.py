"""Keys and hashes that several subjects share."""

from __future__ import annotations

from fedcoin.data.crypto.hashing import sha256
from fedcoin.data.crypto.keys import KeyPair

CHAIN = "fedcoin-vectors"
"""The chain id of the vectors' network."""

GENESIS_HASH = sha256(b"vector genesis")
"""The genesis hash of the vectors' network."""

KEYS = [KeyPair.from_seed(sha256(b"vector key %d" % i)) for i in range(3)]
"""Keys with fixed seeds."""


def hash_of(name: str) -> bytes:
    """Derive a hash that stands for an object which does not exist.

    Args:
        name: The object's name.

    Returns:
        SHA-256 of the name, 32 bytes.
    """
    return sha256(b"vector ", name.encode())
