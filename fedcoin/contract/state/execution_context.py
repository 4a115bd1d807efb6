"""What a rule sees while a block is executed, and how it moves coins."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from threading import Lock
from typing import NamedTuple, TypeVar, cast

from fedcoin.contract.errors import LedgerCode
from fedcoin.contract.state import records
from fedcoin.contract.state.overlay import Overlay
from fedcoin.data.errors import RefusalError
from fedcoin.data.lru import LruDict
from fedcoin.data.messages.amounts import format_amount
from fedcoin.data.messages.genesis import Genesis
from fedcoin.data.messages.parameters import Parameters
from fedcoin.data.messages.receipts import encode_receipt
from fedcoin.v1.block_pb2 import PaymentReceipt, Receipt, TaskPhase, TaskReceipt, TransactionReceipt
from fedcoin.v1.state_pb2 import AccountState

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
            What `compute` returned for this key, now or earlier.
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
    """What a block's execution depends on, besides the state and the transactions."""

    height: int
    time_ms: int
    proposer: bytes
    """20 bytes; gets the fees."""
    last_certificate: bytes
    """Serialised Certificate of the parent; empty at height 1."""


@dataclass(frozen=True, slots=True)
class ExecutionContext:
    """The state as it is being changed, and where receipts go."""

    genesis: Genesis
    block: BlockContext
    state: Overlay
    results: ResultCache
    receipts: list[bytes] = field(default_factory=list)

    @property
    def parameters(self) -> Parameters:
        """The network's parameters."""
        return self.genesis.parameters

    def fork(self) -> ExecutionContext:
        """A scope over this one, whose work can be dropped or absorbed as a whole."""
        return ExecutionContext(self.genesis, self.block, Overlay(self.state), self.results)

    def absorb(self, above: ExecutionContext) -> None:
        """Take over what was done in a fork."""
        self.state.absorb(above.state)
        self.receipts.extend(above.receipts)

    def account(self, address: bytes) -> AccountState:
        """An account to change; an empty one when the address was never used."""
        return records.ACCOUNTS.get(self.state, address) or AccountState()

    def put_account(self, address: bytes, account: AccountState) -> None:
        """Write an account."""
        if account.balance or account.nonce:
            records.ACCOUNTS.put(self.state, address, record=account)
        else:
            records.ACCOUNTS.delete(self.state, address)

    def credit(self, address: bytes, amount: int) -> None:
        """Add to a balance."""
        account = self.account(address)
        account.balance += amount
        self.put_account(address, account)

    def debit(self, address: bytes, amount: int, what: str) -> None:
        """Take from a balance. Raises `Refusal` (INSUFFICIENT_BALANCE) that names `what`."""
        account = self.account(address)
        if account.balance < amount:
            raise insufficient_balance_error(account.balance, amount, what)
        account.balance -= amount
        self.put_account(address, account)

    def burn(self, amount: int) -> None:
        """Count coins as burned."""
        ledger = records.read_ledger(self.state)
        ledger.burned += amount
        records.LEDGER.put(self.state, record=ledger)

    def add_transaction_receipt(self, hash: bytes, sender: bytes, fee: int) -> None:
        """Write the receipt of a transaction."""
        self._write(Receipt(transaction=TransactionReceipt(hash=hash, sender=sender, fee=fee)))

    def add_payment_receipt(self, payment: PaymentReceipt) -> None:
        """Write the receipt of a payment, unless it was of nothing."""
        if payment.amount:
            self._write(Receipt(payment=payment))

    def add_phase_receipt(self, task_id: bytes, phase: TaskPhase.ValueType, attempt: int) -> None:
        """Write the receipt of a task that entered a phase."""
        self._write(Receipt(task=TaskReceipt(task_id=task_id, phase=phase, attempt=attempt)))

    def _write(self, receipt: Receipt) -> None:
        self.receipts.append(encode_receipt(receipt))


def insufficient_balance_error(balance: int, amount: int, what: str) -> RefusalError:
    """The refusal of a balance that is too small."""
    return RefusalError(
        LedgerCode.INSUFFICIENT_BALANCE,
        f"{what} takes {format_amount(amount)}; the balance is {format_amount(balance)}",
        field=what,
        limit=str(balance),
    )
