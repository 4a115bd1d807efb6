"""Keys and hashes that several subjects share."""

from __future__ import annotations

from fedcoin.data.crypto.hashing import sha256
from fedcoin.data.crypto.keys import KeyPair

CHAIN = "fedcoin-vectors"
GENESIS_HASH = sha256(b"vector genesis")
KEYS = [KeyPair.from_seed(sha256(b"vector key %d" % i)) for i in range(3)]


def hash_of(name: str) -> bytes:
    """Make up a hash.

    Args:
        name: What it stands for.

    Returns:
        32 bytes.
    """
    return sha256(b"vector ", name.encode())
