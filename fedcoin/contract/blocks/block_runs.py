"""Execute consecutive blocks before the first of them is stored.

A node that catches up then writes many blocks in one transaction of its database. Nothing is seen
of the state between two of them: the ledger moves on when all are stored.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from fedcoin.consensus.certificates import verify_certificate
from fedcoin.contract.blocks.execution import Execution
from fedcoin.contract.blocks.ledger import Ledger
from fedcoin.contract.blocks.validation import Decoder, check_block
from fedcoin.data.errors import RefusalError
from fedcoin.data.messages.blocks import Block
from fedcoin.data.messages.votes import VerifiedVotes
from fedcoin.data.storage.block_tables import BlockEntry
from fedcoin.v1.block_pb2 import BlockHeader


@dataclass(frozen=True, slots=True)
class ExecutedBlock:
    """A block that passed all checks."""

    block: Block
    """The block."""
    certificate: bytes
    """The serialised Certificate that makes it final."""
    execution: Execution
    """The result of executing it on the state after the block before it."""

    def entry(self) -> BlockEntry:
        """Return what a store keeps of it."""
        done = self.execution
        return BlockEntry(
            self.block, self.certificate, done.receipts, done.changes, done.transactions
        )


@dataclass(frozen=True, slots=True)
class ExecutedRun:
    """What became of consecutive blocks."""

    blocks: tuple[ExecutedBlock, ...]
    """Those that passed all checks, up to the first that did not."""
    refusal: RefusalError | None
    """Why the next one was refused; None when all passed."""


def execute_run(
    blocks: Sequence[tuple[Block, bytes]],
    parent: BlockHeader | None,
    ledger: Ledger,
    decode: Decoder,
    verified_votes: VerifiedVotes,
) -> ExecutedRun:
    """Verify the certificates of consecutive blocks, and check and execute the blocks.

    Args:
        blocks: Decoded blocks, from the next height on, each with its serialised Certificate.
        parent: The header of the latest block; None for genesis.
        ledger: The ledger after the latest block, which is not changed.
        decode: Decodes a transaction, and may know it already.
        verified_votes: The votes whose signatures are verified already; the certificates' votes
            join them.

    Returns:
        The executed blocks. A refusal has a code of `verify_certificate` (BAD_CERTIFICATE) or of
        `validation.check_block`.
    """
    genesis, ahead = ledger.genesis, ledger.fork()
    done: list[ExecutedBlock] = []
    for block, certificate in blocks:
        try:
            round = verify_certificate(
                certificate,
                ahead.validators(),
                genesis.hash,
                block.height,
                block.hash,
                verified_votes,
            )
            execution = check_block(
                block,
                parent,
                genesis,
                ahead,
                round=round,
                decode=decode,
                verified_votes=verified_votes,
            )
        except RefusalError as refusal:
            return ExecutedRun(tuple(done), refusal)
        ahead.adopt(execution)
        parent = block.header
        done.append(ExecutedBlock(block, certificate, execution))
    return ExecutedRun(tuple(done), None)
