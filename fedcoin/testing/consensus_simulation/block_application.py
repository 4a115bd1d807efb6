"""What the simulated nodes agree on: a Protocol, and the plainest thing that satisfies it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from fedcoin.consensus.proposer_selection import select_proposer
from fedcoin.consensus.validators import Validator, ValidatorSet
from fedcoin.data.crypto.hashing import HASH_BYTES, sha256


class BlockApplication(Protocol):
    """One node's ledger. What it adopted survives the node's crashes."""

    def height(self) -> int:
        """The height of the latest final block; 0 before the first."""

    def validators(self) -> ValidatorSet:
        """Who decides the next height."""

    def proposer(self, round: int) -> Validator:
        """Who proposes in a round of the next height."""

    def wants_block(self, now_ms: int) -> bool:
        """Is there anything to put into a block?"""

    def build(self, round: int, now_ms: int) -> tuple[bytes, bytes]:
        """A new block for the next height: its hash and its bytes."""

    def check(self, raw: bytes, now_ms: int) -> bool:
        """May this block be voted for at the next height?"""

    def adopt(self, raw: bytes, certificate: bytes) -> None:
        """This block is final; its certificate was verified."""


ApplicationFactory = Callable[[int, ValidatorSet], BlockApplication]
"""Makes the application of the node with this index; the set is that of the scenario."""


class OpaqueBlockApplication:
    """Blocks that hold their height, their parent and a number that makes them differ.

    An 8-byte height, the parent's hash, then the builder's index and a counter. Valid is
    what names the right height and parent.
    """

    def __init__(self, index: int, validators: ValidatorSet) -> None:
        self._index = index
        self._validators = validators
        self._tip = bytes(HASH_BYTES)
        self._height = 0
        self._built = 0

    def height(self) -> int:
        """How many blocks were adopted."""
        return self._height

    def validators(self) -> ValidatorSet:
        """The same at each height."""
        return self._validators

    def proposer(self, round: int) -> Validator:
        """By rotation, as if nobody had ever won."""
        return select_proposer(self._validators, b"", 0, self._height + 1, round)

    def wants_block(self, now_ms: int) -> bool:
        """Always."""
        return True

    def build(self, round: int, now_ms: int) -> tuple[bytes, bytes]:
        """A block that was never built before."""
        self._built += 1
        number = self._index.to_bytes(4, "big") + self._built.to_bytes(8, "big")
        raw = self._head() + number
        return sha256(raw), raw

    def check(self, raw: bytes, now_ms: int) -> bool:
        """Does it follow the latest block?"""
        return raw.startswith(self._head())

    def adopt(self, raw: bytes, certificate: bytes) -> None:
        """Go on from this block."""
        self._height += 1
        self._tip = sha256(raw)

    def _head(self) -> bytes:
        return (self._height + 1).to_bytes(8, "big") + self._tip
