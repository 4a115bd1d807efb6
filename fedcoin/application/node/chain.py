"""The chain of one node: its store and its ledger, which always move together.

Reads are cheap and may happen anywhere on the event loop. Executing and storing a block runs in a
thread, so that the event loop stays free, and for one block at a time, so that a block is stored on
the state that it was checked against. While it is stored, the ledger shows the state before it.

Nothing that was decoded or verified is decoded or verified again. A transaction of a block that
waits in the mempool, or was in another block of the same height, is found by its signed bytes
(`Chain.transactions`); a vote whose signature was right is remembered (`VerifiedVotes`).
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from fedcoin.application.node.snapshot_maker import refuse_chain, restore_snapshot
from fedcoin.application.node.voting_threads import run_for_voting
from fedcoin.consensus.proposer_order import ProposerOrder
from fedcoin.contract.blocks.block_runs import ExecutedBlock, execute_run
from fedcoin.contract.blocks.execution import BuiltBlock, Execution
from fedcoin.contract.blocks.ledger import Ledger
from fedcoin.contract.blocks.validation import check_clock, check_header, execute_block, make_header
from fedcoin.contract.queries.artifact_readers import may_read
from fedcoin.contract.state.execution_context import BlockContext
from fedcoin.data.clock import Clock
from fedcoin.data.lru import LruDict
from fedcoin.data.messages.blocks import Block, build_block
from fedcoin.data.messages.genesis import Genesis
from fedcoin.data.messages.known_transactions import KnownTransactions
from fedcoin.data.messages.transactions import Transaction
from fedcoin.data.messages.votes import VerifiedVotes
from fedcoin.data.storage.block_tables import StoredBlock
from fedcoin.data.storage.chain_store import ChainStore
from fedcoin.v1.block_pb2 import BlockHeader

log = logging.getLogger(__name__)

_MAX_CHECKED_BLOCKS: Final = 8
"""For how many blocks of the next height the execution is kept; each round proposes one."""

_MAX_DECODED_BLOCKS: Final = 8
"""For how many full blocks decoded transactions are remembered until the next block is final."""


@dataclass(frozen=True, slots=True)
class NewBlock:
    """A block that became final, and what it did."""

    # The final block.
    block: Block
    # The serialised Certificate that makes the block final.
    certificate: bytes
    execution: Execution
    # Whether blocks that follow it were appended in the same step.
    is_followed: bool = False


@dataclass(frozen=True, slots=True)
class Draft:
    """A block that this node built for the next height."""

    # The block, not signed or proposed yet.
    block: Block
    # The candidates that cannot be applied now.
    refused: tuple[Transaction, ...]


class Chain:
    """The final blocks of this node, and the functions that check, build and append the next.

    Implements `ChainPort` and `Importer` of `fedcoin.network.ports.chain_port`. Its coroutines must
    run on one event loop.
    """

    def __init__(self, store: ChainStore, ledger: Ledger, clock: Clock) -> None:
        """Continue the chain of a store.

        Args:
            store: The store; it must hold the genesis state at least.
            ledger: The ledger over the store's state.
            clock: The node's clock, Unix ms.
        """
        self.store = store
        self.ledger = ledger
        self.genesis: Genesis = ledger.genesis
        self._caught_up = asyncio.Event()
        self._caught_up.set()
        self.verified_votes = VerifiedVotes()
        self._clock = clock
        self._height = store.height()
        self._header = store.header(self._height) if self._height else None
        self._lock = asyncio.Lock()
        self._grown = asyncio.Event()
        rules = ledger.genesis.parameters
        self.transactions = KnownTransactions(
            self.genesis.identity,
            rules.max_transaction_bytes,
            _MAX_DECODED_BLOCKS * rules.max_block_bytes,
        )
        self._executions: LruDict[bytes, Execution] = LruDict(_MAX_CHECKED_BLOCKS)
        self._unchanged: tuple[ProposerOrder, ProposerOrder] | None = None
        self._block_listeners: list[Callable[[NewBlock], None]] = []
        self._jump_listeners: list[Callable[[], None]] = []

    def height(self) -> int:
        """Return how long the chain is.

        Returns:
            The height of the last final block; 0 before the first.
        """
        return self._height

    @property
    def catching_up(self) -> bool:
        """True while blocks are fetched from peers; written by `network.peers.sync.catch_up`."""
        return not self._caught_up.is_set()

    @catching_up.setter
    def catching_up(self, is_behind: bool) -> None:
        if is_behind:
            self._caught_up.clear()
        else:
            self._caught_up.set()

    def header(self) -> BlockHeader | None:
        """Return the last final header.

        Returns:
            The header; None before the first block.
        """
        return self._header

    def time_ms(self) -> int:
        """Return when the last final block was made.

        Returns:
            Unix ms; the time of genesis before the first block.
        """
        return self._header.time_ms if self._header is not None else self.genesis.time_ms

    def may_read(self, campaign_id: bytes, address: bytes) -> bool:
        """Tell whether a key may fetch artifacts of a private campaign by the latest block.

        Args:
            campaign_id: The campaign's id, 32 bytes.
            address: The key's address, 20 bytes.

        Returns:
            True when it may (`artifact_readers.may_read`).
        """
        return may_read(self.ledger.reader, self.time_ms(), campaign_id, address)

    def block(self, height: int) -> StoredBlock | None:
        """Read a final block.

        Args:
            height: The block's height.

        Returns:
            The block and its certificate; None when the store has no such block.
        """
        return self.store.block(height)

    def on_block(self, listener: Callable[[NewBlock], None]) -> None:
        """Have a function called after each new final block.

        Args:
            listener: Called on the event loop, with the block.
        """
        self._block_listeners.append(listener)

    def on_jump(self, listener: Callable[[], None]) -> None:
        """Have a function called after the chain was started from a snapshot.

        Args:
            listener: Called on the event loop.
        """
        self._jump_listeners.append(listener)

    async def wait_above(self, height: int) -> int:
        """Wait until the chain is longer than some height.

        Args:
            height: The height to exceed.

        Returns:
            The height of the last final block.
        """
        while self._height <= height:
            await self._grown.wait()
        return self._height

    async def wait_until_caught_up(self) -> None:
        """Wait while blocks are fetched from peers."""
        await self._caught_up.wait()

    async def check(self, block: Block, round: int) -> Execution:
        """Check whether a block of the next height is valid; its own certificate is not needed.

        The execution is kept in memory for the case that the network decides on the block.

        Args:
            block: A decoded block of the next height.
            round: The round in which it was proposed, from 0.

        Returns:
            The result of executing the block.

        Raises:
            RefusalError: A bad block: a code of `validation.check_block`, such as WRONG_APP_HASH.
        """
        async with self._lock:
            return await self._execute(block, round)

    def next_orders(self) -> list[ProposerOrder]:
        """List the orders that the height after the next block may have.

        Returns:
            One order for each block of the next height that was executed; when there is none, the
            order if the next block changes no validators and settles no task.
        """
        executions = self._executions.values()
        if executions:
            return [execution.next_order for execution in executions]
        order = self.ledger.proposer_order()
        if self._unchanged is None or self._unchanged[0] is not order:
            # Each early vote asks for it, and to compute it takes longer than to verify the vote.
            self._unchanged = order, order.next_height(order.validators)
        return [self._unchanged[1]]

    def check_clock(self, block: Block) -> None:
        """Check that the time of a new block is not too far ahead of this node's clock.

        Args:
            block: A block of the next height.

        Raises:
            RefusalError: TIME_TOO_FAR_AHEAD when it is, as `contract.blocks.validation.check_clock`
                decides.
        """
        check_clock(block.header, self._header, self.genesis, self._clock())

    async def build(
        self,
        proposer: bytes,
        candidates: Iterable[Transaction],
        round: int = 0,
        left_out_reveals: bool = False,
    ) -> Draft:
        """Build a block of the next height.

        Args:
            proposer: The address of the proposer, 20 bytes.
            candidates: The transactions to put in, as many as apply and fit, in this order.
            round: The round for which it is built, from 0.
            left_out_reveals: Whether reveals on which validators may differ are left out.

        Returns:
            The block, and the candidates that cannot be applied.
        """
        async with self._lock:
            context = self._next_context(proposer, round, left_out_reveals)
            return await run_for_voting(self._build, context, tuple(candidates))

    async def commit(self, block: Block, certificate: bytes, round: int) -> bool:
        """Append a block that the network decided on.

        Args:
            block: A decoded block of the next height, or of an earlier one.
            certificate: The serialised Certificate of the block; it must have been verified.
            round: The round in which the block was decided, from 0.

        Returns:
            True when the block was appended, False when it was final already.

        Raises:
            RefusalError: A bad block: a code of `validation.check_block`, such as WRONG_APP_HASH.
        """
        async with self._lock:
            if block.header.height <= self._height:
                return False
            execution = await self._execute(block, round)
            await self._append([ExecutedBlock(block, certificate, execution)])
        self._tell(NewBlock(block, certificate, execution))
        return True

    async def import_block(self, block: Block, certificate: bytes) -> None:
        """Implement `Importer.import_block`: verify and append the next block."""
        await self.import_blocks([(block, certificate)])

    async def import_blocks(self, blocks: Sequence[tuple[Block, bytes]]) -> None:
        """Implement `Importer.import_blocks`: verify consecutive blocks and append them at once."""
        async with self._lock:
            fresh = [one for one in blocks if one[0].height > self._height]
            memory = self.transactions.find_or_decode, self.verified_votes
            run = await run_for_voting(execute_run, fresh, self._header, self.ledger, *memory)
            if run.blocks:
                await self._append(run.blocks)
        for one in run.blocks:
            is_followed = one is not run.blocks[-1]
            self._tell(NewBlock(one.block, one.certificate, one.execution, is_followed))
        if run.refusal is not None:
            raise run.refusal

    async def import_snapshot(self, path: Path) -> None:
        """Implement `Importer.import_snapshot`: start an empty chain from a snapshot."""
        async with self._lock:
            refuse_chain(self.store)
            self.ledger.detach()
            try:
                await asyncio.to_thread(restore_snapshot, path, self.store, self.genesis)
            finally:
                self.ledger = await asyncio.to_thread(Ledger, self.store, self.genesis)
            header = self.store.header(self.store.height())
            assert header is not None, "a snapshot without its header"
            self._advance(header, ())
        log.info("the chain starts from the snapshot of height %d", self._height)
        for listener in self._jump_listeners:
            listener()

    async def _append(self, run: Sequence[ExecutedBlock]) -> None:
        self.ledger.hold(one.execution for one in run)
        await run_for_voting(self.store.append_all, [one.entry() for one in run])
        for one in run:
            self.ledger.adopt(one.execution)
        self._advance(run[-1].block.header, run[-1].execution.transactions)

    def _tell(self, new: NewBlock) -> None:
        for listener in self._block_listeners:
            listener(new)

    def _advance(self, header: BlockHeader, transactions: Iterable[Transaction]) -> None:
        self._height = header.height
        self._header = header
        self._executions.clear()
        self.transactions.keep_final(transactions)
        grown, self._grown = self._grown, asyncio.Event()
        grown.set()

    async def _execute(self, block: Block, round: int) -> Execution:
        # The header is checked every time: what is kept of an execution does not depend on `round`.
        check_header(block.header, self._header, self.genesis, self.ledger, round)
        known = self._executions.get(block.hash)
        if known is not None:
            return known
        execution = await run_for_voting(
            execute_block,
            block,
            self.genesis,
            self.ledger,
            decode=self.transactions.find_or_decode,
            verified_votes=self.verified_votes,
        )
        self._executions.put(block.hash, execution)
        return execution

    def _next_context(self, proposer: bytes, round: int, left_out_reveals: bool) -> BlockContext:
        return BlockContext(
            height=self._height + 1,
            time_ms=max(self._clock(), self.time_ms() + 1),
            proposer=proposer,
            last_certificate=self.store.certificate(self._height) or b"",
            round=round,
            left_out_reveals=left_out_reveals,
        )

    def choose_content(
        self, context: BlockContext, candidates: tuple[Transaction, ...]
    ) -> tuple[BlockContext, BuiltBlock]:
        """Choose the content of a block that this node builds. Runs in a thread.

        Other nodes cannot check this choice; a dishonest chain overrides this method.

        Args:
            context: Height, time, proposer and parent's certificate of the block.
            candidates: The transactions that may go in, in their order.

        Returns:
            The block's final context, and its content.
        """
        max_bytes = self.genesis.parameters.max_block_bytes
        return context, self.ledger.build(context, candidates, max_bytes)

    def _build(self, context: BlockContext, candidates: tuple[Transaction, ...]) -> Draft:
        """Build a block and keep its execution. For a thread, under the lock."""
        chosen, built = self.choose_content(context, candidates)
        header = make_header(chosen, self.store.tip_hash(), self.genesis, built.execution)
        raws = tuple(transaction.raw for transaction in built.transactions)
        block = build_block(header, chosen.last_certificate, raws)
        self._executions.put(block.hash, built.execution)
        return Draft(block, tuple(transaction for transaction, _ in built.refused))
