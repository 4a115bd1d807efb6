"""The application that simulated nodes run: its interface, and one without accounts."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from fedcoin.consensus.proposer_order import ProposerOrder
from fedcoin.consensus.validators import Validator, ValidatorSet
from fedcoin.data.crypto.hashing import HASH_BYTES, sha256
from fedcoin.data.errors import RefusalError
from fedcoin.data.messages.blocks import Block, build_block, decode_block
from fedcoin.v1.block_pb2 import BlockHeader

CHAIN_ID = "simulation"
"""The network's name."""


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

    def check(self, block: Block, round: int) -> bool:
        """Tell whether a block of the next height is valid, by the block and the chain alone.

        Args:
            block: The block.
            round: The round of its proposal or certificate.

        Returns:
            True if it is valid.
        """

    def judge(self, block: Block, now_ms: int) -> bool:
        """Judge a newly proposed, valid block by facts that other nodes may see otherwise.

        Args:
            block: The block.
            now_ms: Virtual time in ms.

        Returns:
            True if the node may vote for it.
        """

    def adopt(self, block: Block, certificate: bytes) -> None:
        """Make a block final.

        Args:
            block: A block for the next height.
            certificate: The serialised Certificate of the block, already verified.
        """


ApplicationFactory = Callable[[int, ValidatorSet], BlockApplication]
"""Makes the application of the node with an index, at height 0, for the scenario's validators."""


def opaque_block(raw: bytes, round: int = 0) -> Block:
    """Make a block of any bytes, for an engine that looks only at the round of a block.

    Args:
        raw: The bytes, which need not be a serialised Block.
        round: The round for which the block says that it was built.

    Returns:
        A block whose hash is the SHA-256 of the bytes.
    """
    return Block(raw, sha256(raw), BlockHeader(round=round), b"", b"", ())


class SimulatedLedger:
    """A ledger without accounts: its blocks hold a number that is never used twice.

    A block's only transaction is the builder's index (4 bytes) and a counter (8 bytes). The block
    is valid if height, parent, round, proposer and time are those of a next block.
    """

    def __init__(self, index: int, validators: ValidatorSet) -> None:
        """Start at height 0.

        Args:
            index: The node's index in the scenario.
            validators: The validators of every height.
        """
        self._index = index
        self._order = ProposerOrder.first(validators)
        self._parent = bytes(HASH_BYTES)
        self._height = 0
        self._time_ms = 0
        self._num_built = 0

    def height(self) -> int:
        """Implement `BlockApplication.height`: return the height of the latest final block."""
        return self._height

    def validators(self) -> ValidatorSet:
        """Implement `BlockApplication.validators`: return the validators of the next height."""
        return self._order.validators

    def proposer(self, round: int) -> Validator:
        """Implement `BlockApplication.proposer`: by priority, as without a settled task."""
        return self._order.proposer(round)

    def wants_block(self, now_ms: int) -> bool:
        """Implement `BlockApplication.wants_block`: always."""
        return True

    def build(self, round: int, now_ms: int) -> Block:
        """Implement `BlockApplication.build`: build a block for the next height."""
        self._num_built += 1
        number = self._index.to_bytes(4, "big") + self._num_built.to_bytes(8, "big")
        header = BlockHeader(
            chain_id=CHAIN_ID,
            height=self._height + 1,
            time_ms=max(now_ms, self._time_ms + 1),
            parent_hash=self._parent,
            receipts_root=bytes(HASH_BYTES),
            app_hash=bytes(HASH_BYTES),
            next_validators_hash=self._order.validators.hash(),
            proposer=self.proposer(round).address,
            round=round,
        )
        return build_block(header, b"", [number])

    def decode(self, raw: bytes) -> Block:
        """Implement `BlockApplication.decode`: decode a block that was stored with a lock."""
        try:
            return decode_block(raw)
        except RefusalError:
            # A faulty validator may have locked on bytes that are no block.
            return opaque_block(raw)

    def check(self, block: Block, round: int) -> bool:
        """Implement `BlockApplication.check`: tell whether a block is valid."""
        header = block.header
        return (
            (header.height, header.parent_hash) == (self._height + 1, self._parent)
            and header.time_ms > self._time_ms
            and header.round <= round
            and header.proposer == self.proposer(header.round).address
        )

    def judge(self, block: Block, now_ms: int) -> bool:
        """Implement `BlockApplication.judge`: accept any block."""
        return True

    def adopt(self, block: Block, certificate: bytes) -> None:
        """Implement `BlockApplication.adopt`: make a block final."""
        self._height += 1
        self._parent = block.hash
        self._time_ms = block.header.time_ms
        self._order = self._order.next_height(self._order.validators)
