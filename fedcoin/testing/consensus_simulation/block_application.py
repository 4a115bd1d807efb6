"""The application that simulated nodes run: its interface, and one with opaque blocks."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from fedcoin.consensus.proposer_selection import select_proposer
from fedcoin.consensus.validators import Validator, ValidatorSet
from fedcoin.data.crypto.hashing import HASH_BYTES, sha256
from fedcoin.data.messages.blocks import Block
from fedcoin.v1.block_pb2 import BlockHeader


class BlockApplication(Protocol):
    """One node's ledger. Blocks that it adopted survive the node's crashes."""

    def height(self) -> int:
        """Return the height of the latest final block; 0 before the first."""

    def validators(self) -> ValidatorSet:
        """Return the validators of the next height."""

    def proposer(self, round: int) -> Validator:
        """Select the proposer of a round of the next height.

        Args:
            round: The round, from 0.

        Returns:
            One of the validators.
        """

    def wants_block(self, now_ms: int) -> bool:
        """Tell whether there is anything to put into a block.

        Args:
            now_ms: Virtual time in ms.

        Returns:
            True if the node should begin the next height.
        """

    def build(self, round: int, now_ms: int) -> Block:
        """Build a block for the next height.

        Args:
            round: The round in which it will be proposed.
            now_ms: Virtual time in ms.

        Returns:
            The block.
        """

    def decode(self, raw: bytes) -> Block:
        """Decode a block that was stored with a lock.

        Args:
            raw: The block's bytes.

        Returns:
            The block.
        """

    def check(self, block: Block, now_ms: int) -> bool:
        """Tell whether the node may vote for a block at the next height.

        Args:
            block: The block.
            now_ms: Virtual time in ms.

        Returns:
            True if the block is valid.
        """

    def adopt(self, block: Block, certificate: bytes) -> None:
        """Make a block final.

        Args:
            block: A block for the next height.
            certificate: The serialised Certificate of the block, already verified.
        """


ApplicationFactory = Callable[[int, ValidatorSet], BlockApplication]
"""Makes the application of the node with an index, at height 0, for the scenario's validators."""


def opaque_block(raw: bytes) -> Block:
    """Make a block of any bytes, for an engine that never looks into blocks.

    Args:
        raw: The bytes, which need not be a serialised Block.

    Returns:
        A block whose hash is the SHA-256 of the bytes.
    """
    return Block(raw, sha256(raw), BlockHeader(), b"", b"", ())


class OpaqueBlockApplication:
    """Blocks without content: a height, the parent's hash, and a number that is never used twice.

    A block is an 8-byte height, the parent's hash of 32 bytes, the builder's index (4 bytes) and a
    counter (8 bytes). It is valid if its height and parent are those of the next block.
    """

    def __init__(self, index: int, validators: ValidatorSet) -> None:
        """Start at height 0.

        Args:
            index: The node's index in the scenario.
            validators: The validators of every height.
        """
        self._index = index
        self._validators = validators
        self._parent = bytes(HASH_BYTES)
        self._height = 0
        self._num_built = 0

    def height(self) -> int:
        """Implement `BlockApplication.height`: return the height of the latest final block."""
        return self._height

    def validators(self) -> ValidatorSet:
        """Implement `BlockApplication.validators`: return the validators of the next height."""
        return self._validators

    def proposer(self, round: int) -> Validator:
        """Implement `BlockApplication.proposer`: by rotation, as without a settled task."""
        return select_proposer(self._validators, b"", 0, self._height + 1, round)

    def wants_block(self, now_ms: int) -> bool:
        """Implement `BlockApplication.wants_block`: always."""
        return True

    def build(self, round: int, now_ms: int) -> Block:
        """Implement `BlockApplication.build`: build a block for the next height."""
        self._num_built += 1
        number = self._index.to_bytes(4, "big") + self._num_built.to_bytes(8, "big")
        return opaque_block(self._prefix() + number)

    def decode(self, raw: bytes) -> Block:
        """Implement `BlockApplication.decode`: decode a block that was stored with a lock."""
        return opaque_block(raw)

    def check(self, block: Block, now_ms: int) -> bool:
        """Implement `BlockApplication.check`: tell whether the node may vote for a block."""
        return block.raw.startswith(self._prefix())

    def adopt(self, block: Block, certificate: bytes) -> None:
        """Implement `BlockApplication.adopt`: make a block final."""
        self._height += 1
        self._parent = block.hash

    def _prefix(self) -> bytes:
        return (self._height + 1).to_bytes(8, "big") + self._parent
