"""The ledger: execute and build blocks on the state after the latest block, without changing it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from copy import copy

from fedcoin.consensus.proposer_order import ProposerOrder
from fedcoin.consensus.validators import Validator, ValidatorSet
from fedcoin.contract.admission import compute_byte_fee
from fedcoin.contract.blocks.execution import BuiltBlock, Execution
from fedcoin.contract.blocks.step_bytes import TAG_BYTES, compute_room, count_step_bytes
from fedcoin.contract.blocks.transition import (
    apply_transaction,
    begin_block,
    check_conserved,
    end_block,
)
from fedcoin.contract.errors import LedgerCode
from fedcoin.contract.state import records, validators
from fedcoin.contract.state.block_room import BlockRoom, compute_max_entries
from fedcoin.contract.state.cached_state import CachedState, ScanMemory
from fedcoin.contract.state.execution_context import BlockContext, ExecutionContext, ResultCache
from fedcoin.contract.state.overlay import Overlay, StateReader
from fedcoin.contract.state.state_tree import EntryProof, StateTree
from fedcoin.contract.tasks import lifecycle
from fedcoin.contract.tasks.closing import next_closing_ms
from fedcoin.data.errors import RefusalError
from fedcoin.data.messages.genesis import Genesis
from fedcoin.data.messages.receipts import receipts_root
from fedcoin.data.messages.transactions import Transaction
from fedcoin.v1.block_pb2 import Settlement
from fedcoin.v1.state_pb2 import AccountState, LedgerState


class PendingState:
    """The state after the latest block and after some transactions that wait for the next one.

    The beginning of the next block is not executed: an action that only becomes possible with it
    is refused as too early.
    """

    def __init__(self, ledger: Ledger, height: int) -> None:
        """Begin with no pending transaction applied.

        Args:
            ledger: The ledger after the latest block.
            height: The height of the latest block.
        """
        self._ledger = ledger
        self._height = height
        self._state = Overlay(ledger.reader)

    def follows(self, ledger: Ledger, height: int) -> bool:
        """Tell whether this state still builds on the latest block.

        Args:
            ledger: The node's ledger.
            height: The height of the latest block.

        Returns:
            True when no block has come since this state was begun.
        """
        return self._ledger is ledger and self._height == height

    def apply(self, transaction: Transaction, time_ms: int) -> RefusalError | None:
        """Apply one more transaction; a refused one changes nothing.

        Args:
            transaction: The decoded and verified transaction.
            time_ms: The time that the next block may have, Unix ms.

        Returns:
            The refusal that the transaction meets; None when it was applied.
        """
        changed = Overlay(self._state)
        block = BlockContext(self._height + 1, time_ms, b"", b"")
        try:
            apply_transaction(self._ledger.new_context(block, changed), transaction)
        except RefusalError as refusal:
            return refusal
        self._state.merge(changed)
        return None


class Ledger:
    """The state after the latest block, and the execution of the next one.

    `execute` and `build` change nothing. `hold` comes before the store commits an execution's
    changes, and `adopt` after it: until then the ledger shows the state without them. Several
    threads may use a ledger while none adopts.

    Args:
        reader: Shows the state after the latest block.
        genesis: The network's genesis.
    """

    def __init__(self, reader: StateReader, genesis: Genesis) -> None:
        self.genesis = genesis
        self._stored = CachedState(reader)
        self._reader: CachedState | Overlay = self._stored
        self._tree = StateTree.load(reader.scan(b""))
        self._results = ResultCache()
        self._order = validators.read_proposer_order(reader)
        self._last_validators = validators.read_last_validators(reader)

    @property
    def reader(self) -> StateReader:
        """The state after the latest block."""
        return self._reader

    @property
    def app_hash(self) -> bytes:
        """The hash of the state after the latest block."""
        return self._tree.root

    # Execution ----------------------------------------------------------------------------

    def execute(self, block: BlockContext, transactions: Sequence[Transaction]) -> Execution:
        """Execute a block on the state after its parent, which is not changed.

        Args:
            block: Height, time, proposer and certificate of the block.
            transactions: The block's transactions, in order.

        Returns:
            The state's changes, receipts and hash after the block, and the next validators.

        Raises:
            RefusalError: The first transaction i that cannot be applied, with the code of the rule
                that it breaks; the error's `field` begins with `transactions[i]`.
            SupplyError: The rules created or lost coins, which is a bug.
        """
        context = self.new_context(block)
        settlement = begin_block(context)
        for i, transaction in enumerate(transactions):
            try:
                apply_transaction(context, transaction)
            except RefusalError as refusal:
                raise _at(i, refusal) from None
        return self._finish(context, settlement, transactions)

    def build(
        self, block: BlockContext, candidates: Iterable[Transaction], max_bytes: int
    ) -> BuiltBlock:
        """Execute a block with as many candidates as apply and fit.

        A candidate that does not fit is left out, with the later ones of its sender. No candidate
        makes this raise.

        Args:
            block: Height, time, proposer and certificate of the block.
            candidates: Transactions in the order of preference.
            max_bytes: The largest size of the serialised block, in bytes.

        Returns:
            The chosen transactions, the result, and the candidates that were refused.
        """
        context = self.new_context(block)
        settlement = begin_block(context)
        taken: list[Transaction] = []
        refused, left_out = list[tuple[Transaction, RefusalError]](), set[bytes]()
        room = compute_room(max_bytes, block.last_certificate, settlement)
        for transaction in candidates:
            size = len(transaction.raw) + TAG_BYTES
            if size > room or transaction.sender in left_out:
                # The sender's later transactions would have a gap in their nonces.
                left_out.add(transaction.sender)
                continue
            fork = context.fork()
            try:
                apply_transaction(fork, transaction)
            except RefusalError as refusal:
                if refusal.code != LedgerCode.BLOCK_FULL:
                    refused.append((transaction, refusal))
                    continue
                if fork.room.lacked_entries:
                    context.room.close_entries()
                left_out.add(transaction.sender)
            else:
                context.merge(fork)
                taken.append(transaction)
                room -= size
        execution = self._finish(context, settlement, taken)
        return BuiltBlock(tuple(taken), execution, tuple(refused))

    def fork(self) -> Ledger:
        """Copy this ledger, to execute several blocks before the first of them is stored.

        Returns:
            A ledger after the same block. What it adopts does not change this one, which must
            adopt nothing while the copy is used.
        """
        twin = copy(self)
        twin._reader = Overlay(ScanMemory(self._reader))
        twin._tree = self._tree.copy()
        return twin

    def hold(self, executions: Iterable[Execution]) -> None:
        """Go on showing the present state while the store commits some blocks, until `adopt`.

        Args:
            executions: The results of executing the blocks that the store is about to commit.
        """
        self._stored.hold({key for execution in executions for key in execution.changes})

    def detach(self) -> None:
        """Go on showing the present state from memory, while the store gets another one."""
        self._stored.detach()

    def adopt(self, execution: Execution) -> None:
        """Make an executed block the latest one, after its changes were written to the database.

        Args:
            execution: The result of executing the block on the state before it.
        """
        self._reader.apply(execution.changes)
        self._tree.adopt(execution.tree)
        self._last_validators, self._order = self._order.validators, execution.next_order

    def check(self, transaction: Transaction, height: int, time_ms: int) -> None:
        """Check a transaction as if it were applied in the next block.

        Args:
            transaction: The decoded and verified transaction.
            height: The height of the latest block.
            time_ms: The assumed time of the next block, in Unix ms.

        Raises:
            RefusalError: The code of the rule that the transaction breaks.
        """
        refusal = self.check_all([transaction], height, time_ms)[0]
        if refusal is not None:
            raise refusal

    def check_all(
        self, transactions: Sequence[Transaction], height: int, time_ms: int
    ) -> list[RefusalError | None]:
        """Check transactions as if they were applied in order in the next block.

        A refused transaction is left out for those that follow. The beginning of the block (due
        bonds, settlement) is not executed: an action that needs it is refused as too early.

        Args:
            transactions: Decoded and verified transactions, in the order in which they are tried.
            height: The height of the latest block.
            time_ms: The time that the next block may have, in Unix ms.

        Returns:
            For each transaction, in the same order, the refusal that it meets; None when it
            applies.
        """
        state = PendingState(self, height)
        return [state.apply(transaction, time_ms) for transaction in transactions]

    def new_context(self, block: BlockContext, state: Overlay | None = None) -> ExecutionContext:
        """Make the context in which transactions of the next block are executed.

        Args:
            block: The next block.
            state: The state to change; None for the one after the latest block.

        Returns:
            A context without receipts.
        """
        over = Overlay(self._reader) if state is None else state
        room = BlockRoom(compute_max_entries(self.genesis.parameters))
        return ExecutionContext(self.genesis, block, over, self._results, room)

    def _finish(
        self,
        context: ExecutionContext,
        settlement: Settlement | None,
        transactions: Sequence[Transaction],
    ) -> Execution:
        rules = self.genesis.parameters
        fees = sum(transaction.body.fee for transaction in transactions)
        burned = sum(compute_byte_fee(rules, len(t.body_bytes), t.policy) for t in transactions)
        if context.room.has_steps:
            certificate = context.block.last_certificate
            room = compute_room(rules.max_block_bytes, certificate, settlement)
            context.room.step_bytes = room - count_step_bytes(transactions)
        next_order = end_block(context, fees - burned, burned, self._order)
        changes = context.state.changes()
        check_conserved(context.state, changes)
        update = self._tree.update(changes)
        return Execution(
            transactions=tuple(transactions),
            changes=changes,
            receipts=tuple(context.receipts),
            receipts_root=receipts_root(context.receipts),
            app_hash=update.root,
            settlement=settlement,
            next_order=next_order,
            tree=update,
        )

    # Reading ------------------------------------------------------------------------------

    def validators(self) -> ValidatorSet:
        """Return the validator set of the next height."""
        return self._order.validators

    def last_validators(self) -> ValidatorSet:
        """Return the validator set of the latest height, which signed the latest block."""
        return self._last_validators

    def proposer_order(self) -> ProposerOrder:
        """Return who proposes at the next height, round by round."""
        return self._order

    def proposer(self, round: int) -> Validator:
        """Find the proposer of a round of the next height.

        Args:
            round: The round, from 0.

        Returns:
            The validator that may propose in this round.
        """
        return self._order.proposer(round)

    def account(self, address: bytes) -> AccountState:
        """Read an account.

        Args:
            address: The address, 20 bytes.

        Returns:
            Balance in sap and nonce; zeros for an address that was never used.
        """
        return records.ACCOUNTS.get(self._reader, address) or AccountState()

    def totals(self) -> LedgerState:
        """Read the ledger record: supply and burned coins."""
        return records.read_ledger(self._reader)

    def total_supply(self) -> int:
        """Count all coins in the state, burned ones included, in sap. Equals the supply."""
        return records.count_all_coins(self._reader)

    def next_deadline_ms(self) -> int | None:
        """Return when the next window or campaign closes or bond returns, in Unix ms, or None."""
        windows = (task.deadline_ms for _, task in lifecycle.open_tasks(self._reader))
        times = [deadline for deadline in windows if deadline]
        released = next(records.UNBONDING.scan(self._reader), None)
        if released is not None:
            times.append(released[0])
        closing_ms = next_closing_ms(self._reader)
        if closing_ms is not None:
            times.append(closing_ms)
        return min(times, default=None)

    def waiting_miners(self) -> dict[bytes, int]:
        """Count the miners for which the present window of each open task waits.

        Returns:
            The counts by the tasks' ids; 0 for a task that waits for a block alone.
        """
        return {task_id: task.waiting for task_id, task in lifecycle.open_tasks(self._reader)}

    def needs_block(self) -> bool:
        """Return True when a task waits only for a block that settles it or closes its window."""
        # The latest block leaves a window open that is over when it has closed enough others.
        return not all(self.waiting_miners().values())

    def prove(self, key: bytes) -> EntryProof | None:
        """Prove an entry of the state against `app_hash`.

        Args:
            key: The entry's key.

        Returns:
            The proof; None when there is no such key.
        """
        return self._tree.prove(key)


def _at(index: int, refusal: RefusalError) -> RefusalError:
    name = f"transactions[{index}]"
    return refusal.prefixed(name, parent=name)
