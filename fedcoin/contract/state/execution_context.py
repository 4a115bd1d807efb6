"""The execution context: what an action sees while a block is executed, and how it moves coins."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass
from dataclasses import field as dataclass_field
from threading import Lock
from typing import NamedTuple, TypeVar, cast

from fedcoin.contract.errors import LedgerCode
from fedcoin.contract.state import records
from fedcoin.contract.state.block_room import BlockRoom
from fedcoin.contract.state.overlay import Overlay
from fedcoin.contract.state.standing_bonds import StandingBond, StandingBonds, write_bond
from fedcoin.data.errors import RefusalError
from fedcoin.data.lru import LruDict
from fedcoin.data.messages.amounts import format_amount
from fedcoin.data.messages.genesis import Genesis
from fedcoin.data.messages.parameters import Parameters
from fedcoin.data.messages.receipts import encode_receipt
from fedcoin.v1.block_pb2 import PaymentReceipt, Receipt, TaskPhase, TaskReceipt, TransactionReceipt
from fedcoin.v1.state_pb2 import AccountState, BondState

T = TypeVar("T")


class ResultCache:
    """Results of expensive pure functions, shared by all executions of one ledger.

    The same transaction is executed when it enters the mempool, when a block is built or checked,
    and when the block is final; the cache spares the repetitions. It holds a bounded number of
    results and evicts the least recently used one. Usable from several threads.
    """

    def __init__(self, max_results: int = 1024) -> None:
        """Make an empty cache.

        Args:
            max_results: The largest number of results to hold.
        """
        self._results: LruDict[Hashable, _Result] = LruDict(max_results)
        self._lock = Lock()

    def get_or_compute(self, key: Hashable, compute: Callable[[], T]) -> T:
        """Return the stored result of a computation, or compute and store it.

        Args:
            key: Identifies the computation with all of its arguments.
            compute: The computation. An exception that it raises is passed on and not stored.

        Returns:
            The result of `compute` for this key, from this call or an earlier one.
        """
        with self._lock:
            known = self._results.get(key)
        if known is not None:
            return cast(T, known.value)
        # Without the lock, so that other threads do not wait for this computation.
        value = compute()
        with self._lock:
            self._results.put(key, _Result(value))
        return value


class _Result(NamedTuple):
    value: object
    """Wrapped, so that a stored None differs from a missing result."""


@dataclass(frozen=True, slots=True)
class BlockContext:
    """The inputs of a block's execution other than the state and the transactions."""

    height: int
    """The block's height, from 1."""
    time_ms: int
    """The block's time: Unix time in ms."""
    proposer: bytes
    """The address that gets the fees, 20 bytes; empty where transactions that wait are tried."""
    last_certificate: bytes
    """The serialised Certificate of the parent block; empty at height 1."""
    round: int = 0
    """The round for which the block was built, from 0."""
    left_out_reveals: bool = False
    """Whether the proposer left out reveals on which validators may differ."""

    @property
    def is_trial(self) -> bool:
        """Whether this is no block: only whether transactions that wait are refused counts."""
        return not self.proposer


@dataclass(frozen=True, slots=True)
class ExecutionContext:
    """The state that a block is changing, and the receipts that it writes."""

    genesis: Genesis
    """The network's genesis."""
    block: BlockContext
    """The block that is executed."""
    state: Overlay
    """The state with the changes so far."""
    results: ResultCache
    """Results of expensive checks, shared with other executions."""
    room: BlockRoom
    """What the block has room for after the transactions so far."""
    receipts: list[bytes] = dataclass_field(default_factory=list)
    """The serialised receipts so far."""
    bonds: StandingBonds = dataclass_field(default_factory=StandingBonds)
    """The bonds of the validators after the changes so far."""

    @property
    def parameters(self) -> Parameters:
        """The network's parameters."""
        return self.genesis.parameters

    def fork(self) -> ExecutionContext:
        """Make a child context, whose changes can be dropped or merged into this one as a whole.

        Returns:
            A context without receipts. It reads this context's changes, but does not write to it.
        """
        above = Overlay(self.state)
        bonds = self.bonds.copy()
        room = self.room.copy()
        return ExecutionContext(self.genesis, self.block, above, self.results, room, bonds=bonds)

    def merge(self, fork: ExecutionContext) -> None:
        """Add the changes and receipts of a child context to this one.

        Args:
            fork: A child context, which this context's `fork` returned.
        """
        self.state.merge(fork.state)
        self.receipts.extend(fork.receipts)
        self.bonds.take(fork.bonds)
        self.room.take_over(fork.room)

    def standing_bonds(self) -> Mapping[bytes, StandingBond]:
        """List the bonds of the validators after the changes so far, without a scan for each.

        Returns:
            The bonds by address.
        """
        return self.bonds.read(self.state)

    def find_smallest_bond(self) -> bytes:
        """Find the bond that makes way first: the smallest one; of equal ones, the latest comer.

        Returns:
            The address of its owner, 20 bytes; there is at least one validator.
        """
        return self.bonds.find_smallest(self.state)

    def put_bond(self, address: bytes, record: BondState) -> None:
        """Write the record of a bond. While a block is executed, every one is written by this.

        Args:
            address: The owner's address, 20 bytes.
            record: The new record.
        """
        write_bond(self.state, address, record)
        self.bonds.note(address, record)

    def account(self, address: bytes) -> AccountState:
        """Read an account.

        Args:
            address: The address, 20 bytes.

        Returns:
            A copy of the account; an empty one for an address that was never used.
        """
        return records.ACCOUNTS.get(self.state, address) or AccountState()

    def has_account(self, address: bytes) -> bool:
        """Tell whether an address has a balance or has sent transactions.

        Args:
            address: The address, 20 bytes.

        Returns:
            True when the state holds its account.
        """
        return records.ACCOUNTS.get(self.state, address) is not None

    def put_account(self, address: bytes, account: AccountState) -> None:
        """Write an account; delete it when it is empty.

        Args:
            address: The address, 20 bytes.
            account: The new balance in sap and nonce.
        """
        if account.balance or account.nonce:
            records.ACCOUNTS.put(self.state, address, record=account)
        else:
            records.ACCOUNTS.delete(self.state, address)

    def credit(self, address: bytes, amount: int) -> None:
        """Add coins to a balance.

        Args:
            address: The address, 20 bytes.
            amount: The amount to add, in sap.
        """
        account = self.account(address)
        account.balance += amount
        self.put_account(address, account)

    def debit(self, address: bytes, amount: int, field: str) -> None:
        """Take coins from a balance.

        Args:
            address: The address, 20 bytes.
            amount: The amount in sap.
            field: The field of the transaction that asks for the amount, for the refusal.

        Raises:
            RefusalError: INSUFFICIENT_BALANCE when the balance is smaller.
        """
        account = self.account(address)
        if account.balance < amount:
            raise insufficient_balance_error(account.balance, amount, field)
        account.balance -= amount
        self.put_account(address, account)

    def charge_state(self, sender: bytes, entries: int, field: str) -> None:
        """Burn what a sender pays for entries that stay in the state.

        Args:
            sender: The sender's address, 20 bytes.
            entries: The number of entries.
            field: The field of the transaction that adds them, for the refusal.

        Raises:
            RefusalError: BLOCK_FULL when the block has no room for them; INSUFFICIENT_BALANCE when
                the balance is smaller.
        """
        self.room.take_entries(entries)
        amount = entries * self.parameters.state_fee
        self.debit(sender, amount, field)
        self.burn(amount)

    def burn(self, amount: int) -> None:
        """Count coins as burned. The caller takes them from where they were.

        Args:
            amount: The amount in sap.
        """
        ledger = records.read_ledger(self.state)
        ledger.burned += amount
        records.LEDGER.put(self.state, record=ledger)

    def add_transaction_receipt(self, hash: bytes, sender: bytes, fee: int) -> None:
        """Write the receipt of a transaction.

        Args:
            hash: The transaction's hash, 32 bytes.
            sender: The sender's address, 20 bytes.
            fee: The fee in sap.
        """
        self._write(Receipt(transaction=TransactionReceipt(hash=hash, sender=sender, fee=fee)))

    def add_payment_receipt(self, payment: PaymentReceipt) -> None:
        """Write the receipt of a payment, unless its amount is 0.

        Args:
            payment: Who was paid how much (in sap), by which task and for what.
        """
        if payment.amount:
            self._write(Receipt(payment=payment))

    def add_phase_receipt(self, task_id: bytes, phase: TaskPhase.ValueType, attempt: int) -> None:
        """Write the receipt of a task that enters a phase.

        Args:
            task_id: The task's id, 32 bytes.
            phase: The phase that it enters.
            attempt: The task's attempt, from 0.
        """
        self._write(Receipt(task=TaskReceipt(task_id=task_id, phase=phase, attempt=attempt)))

    def _write(self, receipt: Receipt) -> None:
        self.receipts.append(encode_receipt(receipt))


def insufficient_balance_error(balance: int, amount: int, field: str) -> RefusalError:
    """Make the refusal of a transaction whose sender has too few coins.

    Args:
        balance: The sender's balance in sap.
        amount: The amount that is needed, in sap.
        field: The field of the transaction that asks for the amount.

    Returns:
        A refusal with code INSUFFICIENT_BALANCE.
    """
    return RefusalError(
        LedgerCode.INSUFFICIENT_BALANCE,
        f"{field} takes {format_amount(amount)}; the balance is {format_amount(balance)}",
        field=field,
        limit=str(balance),
    )
