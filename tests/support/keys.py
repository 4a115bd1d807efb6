"""The key pairs of tests, each derived from a name, so that every run uses the same ones."""

from __future__ import annotations

from fedcoin.data.crypto.hashing import sha256
from fedcoin.data.crypto.keys import KeyPair


def key_of(name: str) -> KeyPair:
    """Derive the key pair of a name."""
    return KeyPair.from_seed(sha256(name.encode()))


ALICE, BOB, CAROL, STRANGER = map(key_of, ("alice", "bob", "carol", "stranger"))
MINERS = tuple(key_of(f"miner {number}") for number in range(4))
"""The validators of networks of four."""
