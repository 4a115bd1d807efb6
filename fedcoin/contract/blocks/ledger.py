"""The ledger: what blocks do to the state after the latest one, without doing it yet."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from fedcoin.consensus import proposer_selection
from fedcoin.consensus.validators import Validator, ValidatorSet
from fedcoin.contract.blocks.transition import (
    apply_transaction,
    begin_block,
    check_conserved,
    end_block,
)
from fedcoin.contract.state import records, validators
from fedcoin.contract.state.execution_context import BlockContext, ExecutionContext, ResultCache
from fedcoin.contract.state.overlay import Overlay, StateReader
from fedcoin.contract.state.state_tree import EntryProof, StateTree, TreeUpdate
from fedcoin.contract.tasks import lifecycle
from fedcoin.data.errors import RefusalError
from fedcoin.data.messages.genesis import Genesis
from fedcoin.data.messages.receipts import receipts_root
from fedcoin.data.messages.transactions import Transaction
from fedcoin.v1 import block_pb2
from fedcoin.v1.block_pb2 import Settlement
from fedcoin.v1.state_pb2 import AccountState, LedgerState

_TAG_BYTES = 6
"""What a transaction takes in a block besides itself, at most: a tag and its length."""

_HEADER_BYTES = 512
"""What a block takes besides settlement, certificate and transactions, and room to spare."""


@dataclass(frozen=True, slots=True)
class Execution:
    """What a block does."""

    transactions: tuple[Transaction, ...] = field(repr=False)
    changes: dict[bytes, bytes | None] = field(repr=False)
    """New values by key; None for keys that are gone."""
    receipts: tuple[bytes, ...] = field(repr=False)
    receipts_root: bytes
    app_hash: bytes
    settlement: Settlement | None
    """The task that it settles: the header must say the same."""
    next_validators: ValidatorSet
    """Who decides the next height."""
    tree: TreeUpdate = field(repr=False)


@dataclass(frozen=True, slots=True)
class Built:
    """A block's content, chosen from candidates."""

    transactions: tuple[Transaction, ...]
    execution: Execution
    refused: tuple[tuple[Transaction, RefusalError], ...]
    """What cannot be applied now, and why."""


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
            transaction: The transaction.
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
    """The state after the latest block, and what may come next.

    `reader` always shows the latest block's state. Executing changes nothing; once the store has
    committed an execution's changes, `adopt` takes it over. Use from several threads is safe as
    long as nothing is adopted meanwhile.
    """

    def __init__(self, reader: StateReader, genesis: Genesis) -> None:
        self.genesis = genesis
        self._reader = reader
        self._tree = StateTree.load(reader.scan(b""))
        self._results = ResultCache()
        self._validators = validators.read_validators(reader)
        self._last_validators = validators.read_last_validators(reader)

    @property
    def reader(self) -> StateReader:
        """The state after the latest block."""
        return self._reader

    @property
    def app_hash(self) -> bytes:
        """The hash of the state after the latest block."""
        return self._tree.root

    # Executing ----------------------------------------------------------------------------

    def execute(self, block: BlockContext, transactions: Sequence[Transaction]) -> Execution:
        """Do all that a block with these transactions does.

        Raises the first `Refusal` of a transaction; its `field` then begins with
        `transactions[i]`.
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
    ) -> Built:
        """Do what a block does with as many candidates as apply and fit, in their order.

        `max_bytes` bounds the whole serialised block. Never raises for a candidate: those that
        are refused are told, those that do not fit are left out.
        """
        context = self.new_context(block)
        settlement = begin_block(context)
        taken: list[Transaction] = []
        refused: list[tuple[Transaction, RefusalError]] = []
        left_out: set[bytes] = set()
        settled = settlement.ByteSize() if settlement is not None else 0
        room = max_bytes - _HEADER_BYTES - settled - len(block.last_certificate)
        for transaction in candidates:
            size = len(transaction.raw) + _TAG_BYTES
            if size > room or transaction.sender in left_out:
                # What its sender signed later would have a gap before it.
                left_out.add(transaction.sender)
                continue
            fork = context.fork()
            try:
                apply_transaction(fork, transaction)
            except RefusalError as refusal:
                refused.append((transaction, refusal))
                continue
            context.merge(fork)
            taken.append(transaction)
            room -= size
        execution = self._finish(context, settlement, taken)
        return Built(tuple(taken), execution, tuple(refused))

    def adopt(self, execution: Execution) -> None:
        """Take over an execution whose changes the reader shows now.

        It must have been the latest block's, executed on the state that was adopted before it.
        """
        self._tree.adopt(execution.tree)
        self._last_validators, self._validators = self._validators, execution.next_validators

    def check(self, transaction: Transaction, height: int, time_ms: int) -> None:
        """Raise the `Refusal` that a transaction would meet in the block after `height`.

        `height` is that of the latest block; `time_ms` the time that the next one may have.
        """
        refusal = self.check_all([transaction], height, time_ms)[0]
        if refusal is not None:
            raise refusal

    def check_all(
        self, transactions: Sequence[Transaction], height: int, time_ms: int
    ) -> list[RefusalError | None]:
        """What each of these would meet in the block after `height`, those before it applied.

        What is refused is left out for those that follow. The block's own beginning is not
        played: what only becomes possible with it is refused as too early.
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
        return ExecutionContext(self.genesis, block, over, self._results)

    def _finish(
        self,
        context: ExecutionContext,
        settlement: Settlement | None,
        transactions: Sequence[Transaction],
    ) -> Execution:
        fees = sum(transaction.body.fee for transaction in transactions)
        next_validators = end_block(context, fees, self.validators())
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
            next_validators=next_validators,
            tree=update,
        )

    # Reading ------------------------------------------------------------------------------

    def validators(self) -> ValidatorSet:
        """Who decides the next height."""
        return self._validators

    def last_validators(self) -> ValidatorSet:
        """Who decided the latest height: the next block holds their certificate."""
        return self._last_validators

    def proposer(self, height: int, round: int) -> Validator:
        """Who proposes in a round of `height`, which must be the one after the latest block."""
        ledger = self.totals()
        return proposer_selection.select_proposer(
            self.validators(), ledger.last_winner, ledger.winner_height, height, round
        )

    def account(self, address: bytes) -> AccountState:
        """Balance and nonce of an address; zero for one that was never used."""
        return records.ACCOUNTS.get(self._reader, address) or AccountState()

    def totals(self) -> LedgerState:
        """Supply, burned coins, difficulty, latest winner."""
        return records.read_ledger(self._reader)

    def total_supply(self) -> int:
        """All coins that exist, burned ones included, counted afresh; always the supply."""
        return records.count_all_coins(self._reader)

    def next_deadline_ms(self) -> int | None:
        """When the next window closes or the next bond returns, if anything waits for a time."""
        windows = (task.deadline_ms for _, task in lifecycle.open_tasks(self._reader))
        times = [deadline for deadline in windows if deadline]
        release = next(records.UNBONDING.scan(self._reader), None)
        if release is not None:
            times.append(release[0])
        return min(times, default=None)

    def needs_block(self) -> bool:
        """Does a task wait for nothing but a block, to be settled?"""
        waiting = block_pb2.TASK_PHASE_SETTLE
        return any(task.phase == waiting for _, task in lifecycle.open_tasks(self._reader))

    def prove(self, key: bytes) -> EntryProof | None:
        """The proof of an entry against `app_hash`; None when there is no such key."""
        return self._tree.prove(key)


def _at(index: int, refusal: RefusalError) -> RefusalError:
    name = f"transactions[{index}]"
    return refusal.prefixed(name, parent=name)
