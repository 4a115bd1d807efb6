"""The chain as the network reads it, and how blocks of other validators are appended to it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from fedcoin.contract.blocks.ledger import Ledger
    from fedcoin.data.messages.blocks import Block
    from fedcoin.data.messages.genesis import Genesis
    from fedcoin.data.messages.votes import VerifiedVotes
    from fedcoin.data.storage.block_tables import StoredBlock
    from fedcoin.data.storage.chain_store import ChainStore


class ChainPort(Protocol):
    """The chain of final blocks, read-only for the network."""

    catching_up: bool
    """True while blocks are fetched from peers; written by `peers.sync.catch_up`."""

    verified_votes: VerifiedVotes
    """The votes whose signatures this node has verified, whatever their source."""

    @property
    def genesis(self) -> Genesis:
        """The genesis of this chain's network."""
        ...

    @property
    def ledger(self) -> Ledger:
        """The state after the last final block, for reads."""
        ...

    @property
    def store(self) -> ChainStore:
        """The store, for reads; usable from several threads."""
        ...

    def height(self) -> int:
        """Return the height of the last final block; 0 is genesis."""
        ...

    def block(self, height: int) -> StoredBlock | None:
        """Read a final block and a certificate for it.

        Args:
            height: The block's height.

        Returns:
            The block; None above the last one, and up to the snapshot that the chain started from.
        """
        ...

    async def wait_above(self, height: int) -> int:
        """Wait until the chain is higher than a height.

        Args:
            height: The height that the chain must exceed.

        Returns:
            The chain's height, above `height`.
        """
        ...

    async def wait_until_caught_up(self) -> None:
        """Wait while blocks are fetched from peers."""
        ...


class Importer(Protocol):
    """Appends blocks that other validators decided."""

    async def import_block(self, block: Block, certificate: bytes) -> None:
        """Verify and append the block of the next height; do nothing when it is final already.

        Args:
            block: The block, decoded but not checked against the chain.
            certificate: The serialised Certificate that makes it final.

        Raises:
            RefusalError: BAD_CERTIFICATE when the certificate does not make the block final; a code
                of `contract.blocks.validation.check_block`, such as WRONG_PARENT or WRONG_APP_HASH,
                when the block is invalid or not the next one.
        """
        ...

    async def import_blocks(self, blocks: Sequence[tuple[Block, bytes]]) -> None:
        """Verify consecutive blocks, and append them in one step.

        Args:
            blocks: Decoded blocks, from the next height on, each with its serialised Certificate.
                Those that are final already are left out.

        Raises:
            RefusalError: A code of `import_block` for the first block that is refused, which is the
                next one then: those before it have been appended.
        """
        ...

    async def import_snapshot(self, path: Path) -> None:
        """Start a chain without blocks from a snapshot, in one transaction.

        Args:
            path: The snapshot's file.

        Raises:
            RefusalError: BAD_SNAPSHOT when the file is damaged; a code of `SnapshotVerifier`, such
                as WRONG_CHUNK or WRONG_SUPPLY, when its content is not valid. Then nothing is
                written.
        """
        ...
