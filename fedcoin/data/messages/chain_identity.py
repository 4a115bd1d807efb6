"""The identity of a network: the name that people use, and the hash that signatures cover."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ChainIdentity:
    """The name and the genesis hash of one network.

    Two networks may have the same name, for example after a relaunch. The genesis hash tells them
    apart, so every signature covers it.
    """

    chain_id: str
    """1 to 64 lower-case letters, digits and hyphens."""
    genesis_hash: bytes
    """SHA-256 of genesis.json, 32 bytes."""
