"""The chain of one node: its store and its ledger, which move together.

Reads are cheap and may happen anywhere. Work on a block (executing and storing it) runs in a
thread, so that the event loop stays free, and one block at a time, so that what a block was
checked against is what it is stored upon.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from fedcoin.application.node.snapshot_maker import restore_snapshot
from fedcoin.consensus.certificates import verify_certificate
from fedcoin.contract.blocks.ledger import Built, Execution, Ledger
from fedcoin.contract.blocks.validation import check_block, header_of
from fedcoin.contract.state.execution_context import BlockContext
from fedcoin.data.clock import Clock
from fedcoin.data.lru import LruDict
from fedcoin.data.messages.blocks import Block, build_block, decode_block
from fedcoin.data.messages.genesis import Genesis
from fedcoin.data.messages.transactions import Transaction
from fedcoin.data.storage.chain_store import ChainStore, StoredBlock
from fedcoin.v1.block_pb2 import BlockHeader

log = logging.getLogger(__name__)

CHECKED_BLOCKS = 8
"""How many blocks of the next height are remembered as checked: one a round is plenty."""


@dataclass(frozen=True, slots=True)
class NewBlock:
    """A block that became final, and what it did."""

    block: Block
    certificate: bytes
    execution: Execution


@dataclass(frozen=True, slots=True)
class Draft:
    """A block that could be next, and the candidates that could not be in it."""

    block: Block
    refused: tuple[Transaction, ...]


class Chain:
    """What is final, and the way to make more of it final."""

    def __init__(self, store: ChainStore, ledger: Ledger, clock: Clock) -> None:
        self.store = store
        self.ledger = ledger
        self.genesis: Genesis = ledger.genesis
        self.catching_up = False
        self._clock = clock
        self._height = store.height()
        self._header = store.header(self._height) if self._height else None
        self._lock = asyncio.Lock()
        self._grown = asyncio.Event()
        self._checked: LruDict[bytes, Execution] = LruDict(CHECKED_BLOCKS)
        self._listeners: list[Callable[[NewBlock], None]] = []
        self._jump_listeners: list[Callable[[], None]] = []

    def height(self) -> int:
        """The last final height; 0 before the first block."""
        return self._height

    def header(self) -> BlockHeader | None:
        """The last final header; None before the first block."""
        return self._header

    def time_ms(self) -> int:
        """Unix ms of the last final block, of genesis before the first."""
        return self._header.time_ms if self._header is not None else self.genesis.time_ms

    def block(self, height: int) -> StoredBlock | None:
        """A final block and its certificate."""
        return self.store.block(height)

    def listen(self, listener: Callable[[NewBlock], None]) -> None:
        """Have ``listener`` called, on the event loop, right after each new final block."""
        self._listeners.append(listener)

    def on_jump(self, listener: Callable[[], None]) -> None:
        """Have ``listener`` called, on the event loop, after the chain began from a snapshot."""
        self._jump_listeners.append(listener)

    async def wait_above(self, height: int) -> int:
        """Returns the chain's height as soon as it is above ``height``."""
        while self._height <= height:
            await self._grown.wait()
        return self._height

    async def check(self, block: Block) -> Execution:
        """Everything that makes a block of the next height right but for its certificate; its
        time must not be too far ahead of this node's clock either.

        Raises :class:`~fedcoin.data.errors.Refusal`. What was found is remembered, since a block
        is checked before the vote and stored after it.
        """
        async with self._lock:
            return await self._execute(block, None, now_ms=self._clock())

    async def build(self, proposer: bytes, candidates: Iterable[Transaction]) -> Draft:
        """A block of the next height with as many of the candidates as apply and fit."""
        async with self._lock:
            context = self._next_context(proposer)
            limit = self.genesis.parameters.max_block_bytes
            built = await asyncio.to_thread(
                self.ledger.build, context, tuple(candidates), max_bytes=limit
            )
            block = self._assemble(context, built)
            self._checked.put(block.hash, built.execution)
            return Draft(block, tuple(transaction for transaction, _ in built.refused))

    async def commit(self, block: Block, certificate: bytes, round: int) -> bool:
        """Stores a block that was decided in ``round``. False when it was final already.

        The certificate must have been checked. Raises Refusal when the block is wrong.
        """
        async with self._lock:
            if block.header.height <= self._height:
                return False
            execution = await self._execute(block, round)
            await asyncio.to_thread(
                self.store.append, block, certificate, execution.receipts, execution.changes
            )
            self.ledger.adopt(execution)
            self._stand_at(block.header)
        new = NewBlock(block, certificate, execution)
        for listener in self._listeners:
            listener(new)
        return True

    async def import_block(self, raw_block: bytes, raw_certificate: bytes) -> None:
        """Takes the next block from a peer. Raises Refusal when block or certificate is wrong."""
        block = decode_block(raw_block, self.genesis.parameters.max_block_bytes)
        if block.header.height <= self._height:
            return
        round = verify_certificate(
            raw_certificate,
            self.ledger.validators(),
            self.genesis.chain_id,
            block.header.height,
            block.hash,
        )
        await self.commit(block, raw_certificate, round)

    async def import_snapshot(self, path: Path) -> None:
        """Begins from a snapshot's file: all of it is checked, and taken as a whole or not at all.

        Raises Refusal: CHAIN_EXISTS when there are blocks, and what `restore_snapshot` raises.
        """
        async with self._lock:
            await asyncio.to_thread(restore_snapshot, path, self.store, self.genesis)
            self.ledger = await asyncio.to_thread(Ledger, self.store, self.genesis)
            header = self.store.header(self.store.height())
            assert header is not None, "a snapshot without its header"
            self._stand_at(header)
        log.info("the chain begins from the snapshot of height %d", self._height)
        for listener in self._jump_listeners:
            listener()

    def _stand_at(self, header: BlockHeader) -> None:
        self._height = header.height
        self._header = header
        self._checked.clear()
        grown, self._grown = self._grown, asyncio.Event()
        grown.set()

    async def _execute(
        self, block: Block, round: int | None, now_ms: int | None = None
    ) -> Execution:
        known = self._checked.get(block.hash)
        if known is not None:
            return known
        execution = await asyncio.to_thread(
            check_block,
            block,
            self._header,
            self.genesis,
            self.ledger,
            round=round,
            now_ms=now_ms,
        )
        self._checked.put(block.hash, execution)
        return execution

    def _next_context(self, proposer: bytes) -> BlockContext:
        return BlockContext(
            height=self._height + 1,
            time_ms=max(self._clock(), self.time_ms() + 1),
            proposer=proposer,
            last_certificate=self.store.certificate(self._height) or b"",
        )

    def _assemble(self, context: BlockContext, built: Built) -> Block:
        header = header_of(context, self.store.tip_hash(), self.genesis, built.execution)
        raws = tuple(transaction.raw for transaction in built.transactions)
        return build_block(header, context.last_certificate, raws)
