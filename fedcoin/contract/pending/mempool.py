"""The mempool: transactions that wait for a block.

It is bounded in number and in bytes. A proposer takes the steps of miners first
(`reserved_steps`), then what pays the most for each byte; the transactions of one sender come in
the order of their nonces. When the mempool is full, what pays the least for each byte makes room
for a transaction that pays more (`eviction`).

Each transaction is checked as if its sender's earlier ones were applied. A transaction that a
peer relays may be too early for this node, because the peer is a block ahead
(`errors.PREMATURE_CODES`): on request the mempool holds it for a few blocks, and it becomes a
candidate for a block as soon as it can be applied.

A sender may replace a transaction by another with the same nonce and a higher fee
(`admission.min_replacement_fee`); the transactions after it are then checked again.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from fedcoin.contract.admission import min_fee, min_replacement_fee
from fedcoin.contract.blocks.ledger import Ledger, PendingState
from fedcoin.contract.errors import PREMATURE_CODES
from fedcoin.contract.pending.block_order import order_for_block
from fedcoin.contract.pending.eviction import EvictionOrder, choose_evicted, choose_evicted_held
from fedcoin.contract.pending.fee_estimates import (
    compute_min_fee_rate,
    estimate_next_block_fee_rate,
)
from fedcoin.contract.pending.mempool_usage import MempoolLimits, MempoolUsage
from fedcoin.contract.pending.quick_checks import (
    compute_max_cost,
    still_applies,
    surely_applies,
)
from fedcoin.contract.pending.rechecks import Rechecks
from fedcoin.contract.pending.refusals import (
    already_pending,
    evicted_by,
    held_too_long,
    replaced_by,
    replacement_underpriced,
    too_many_pending,
)
from fedcoin.contract.pending.reserved_steps import Step, find_step
from fedcoin.contract.pending.sender_queue import Dropped, Entry, SenderQueue
from fedcoin.data.errors import RefusalError
from fedcoin.data.lru import LruDict
from fedcoin.data.messages.transactions import Transaction

_MAX_DROP_REASONS: Final = 4_096
"""For how many dropped transactions the reason is remembered."""


class Mempool:
    """The transactions that wait for a block.

    All methods but `find` must be called from one thread.
    """

    def __init__(self, limits: MempoolLimits | None = None) -> None:
        """Make an empty mempool.

        Args:
            limits: How much it holds; None for the defaults.
        """
        self._entries: dict[bytes, Entry] = {}
        self._by_bytes: dict[bytes, Transaction] = {}
        self._senders: dict[bytes, SenderQueue] = {}
        self._eviction = EvictionOrder(self._senders)
        self._limits = limits or MempoolLimits()
        self._usage = MempoolUsage(self._limits)
        self._rechecks = Rechecks()
        self._num_arrived = 0
        self._drop_reasons: LruDict[bytes, RefusalError] = LruDict(_MAX_DROP_REASONS)

    def __len__(self) -> int:
        return len(self._entries)

    @property
    def num_bytes(self) -> int:
        """The bytes of all serialised transactions that wait."""
        return self._usage.num_bytes

    def add(
        self,
        transaction: Transaction,
        ledger: Ledger,
        height: int,
        time_ms: int,
        *,
        hold: bool = False,
    ) -> bool:
        """Add a transaction.

        Args:
            transaction: The decoded and verified transaction.
            ledger: The ledger after the latest block.
            height: The height of the latest block.
            time_ms: The time that the next block may have, Unix ms.
            hold: Hold the transaction when it is only too early, unless it would replace another.

        Returns:
            True when the transaction can be applied now, False when it is held.

        Raises:
            RefusalError: ALREADY_PENDING when the mempool has it; REPLACEMENT_UNDERPRICED when
                its fee is too low to replace one with the same nonce; TOO_MANY_PENDING when too
                many of this sender wait; POOL_FULL when it pays less than what would have to make
                room; and the ledger's codes when it cannot be applied.
        """
        queue = self._senders.get(transaction.sender) or SenderQueue()
        nonce = transaction.body.nonce
        replaced = queue.entries.get(nonce)
        self._check_new(transaction, replaced, ledger)
        step = self._find_step(transaction, replaced, ledger)
        if step is None and replaced is None and len(queue.entries) >= self._limits.per_sender:
            raise too_many_pending(len(queue.entries), self._limits.per_sender)
        cost = compute_max_cost(transaction, ledger, height)
        entry = Entry(transaction, None, height, step, cost=cost)
        evicted = choose_evicted(entry, replaced, self._usage, self._eviction)
        is_last = nonce > max(queue.entries, default=-1)
        state, refusal = None, None
        if not surely_applies(transaction, cost, queue, ledger):
            state = queue.state_before(nonce, ledger, height, time_ms)
            refusal = entry.early = state.apply(transaction, time_ms)
        if refusal is not None:
            # A replacement is never held: a sender without coins could else have any number of
            # transactions relayed, one in place of the other.
            if not hold or replaced is not None or refusal.code not in PREMATURE_CODES:
                raise refusal
            evicted += choose_evicted_held(entry, refusal, self._usage, ledger)
        for other in dict.fromkeys(evicted):
            self._drop(other, evicted_by(transaction))
        if replaced is not None:
            self._drop(replaced, replaced_by(transaction))
        self._insert(entry, ledger)
        queue = self._senders[transaction.sender]
        if is_last:
            queue.state = state
        elif refusal is None:
            self._review(transaction.sender, ledger, height, time_ms)
        return refusal is None

    def candidates(self) -> Iterator[Transaction]:
        """List the transactions that may go into the next block, the most urgent first.

        The mempool must not change while this is read.

        Yields:
            Transactions in the order of `block_order`; those of one sender by nonce.
        """
        return order_for_block(self._senders)

    def unordered_candidates(self) -> Iterator[Transaction]:
        """List the transactions that may go into the next block, without putting them in order.

        Yields:
            Transactions; those of one sender by nonce.
        """
        for queue in self._senders.values():
            for entry in queue.candidates():
                yield entry.transaction

    def candidates_of(self, sender: bytes) -> list[Transaction]:
        """List the transactions of one sender that the next block can hold.

        Args:
            sender: The sender's address, 20 bytes.

        Returns:
            The sender's transactions that can be applied, by nonce.
        """
        queue = self._senders.get(sender)
        return [] if queue is None else [entry.transaction for entry in queue.candidates()]

    def pending(self) -> list[Transaction]:
        """List all waiting transactions, also those that are held because they are too early.

        Returns:
            The transactions in the order of their arrival.
        """
        return [entry.transaction for entry in self._entries.values()]

    def get(self, hash: bytes) -> Transaction | None:
        """Look a transaction up by its hash.

        Args:
            hash: The transaction's hash, 32 bytes.

        Returns:
            The transaction; None when it does not wait here.
        """
        entry = self._entries.get(hash)
        return None if entry is None else entry.transaction

    def find(self, raw: bytes) -> Transaction | None:
        """Look a transaction up by its signed bytes, so that they need not be decoded again.

        May be called from any thread.

        Args:
            raw: A serialised SignedTransaction, signature included.

        Returns:
            The transaction with exactly these bytes; None when it does not wait here.
        """
        return self._by_bytes.get(raw)

    def min_fee_rate(self) -> int:
        """Compute what a transaction must pay to be admitted now.

        Returns:
            Sap for each KiB of the signed transaction, beside the ledger's minimum fee; 0 while
            the mempool has room for any transaction of average size.
        """
        return compute_min_fee_rate(self._usage, self._eviction)

    def next_block_fee_rate(self, max_bytes: int) -> int:
        """Estimate what a transaction must pay to be in the next block.

        Args:
            max_bytes: The size of a block in bytes.

        Returns:
            Sap for each KiB of the signed transaction, beside the ledger's minimum fee; 0 when the
            next block has room for all that wait.
        """
        return estimate_next_block_fee_rate(self._usage, max_bytes)

    def dropped_reason(self, hash: bytes) -> RefusalError | None:
        """Say why a transaction does not wait any more.

        Args:
            hash: The transaction's hash, 32 bytes.

        Returns:
            The reason for which it was dropped; None when it waits, is final, was never here, or
            was dropped so long ago that the reason is forgotten.
        """
        return self._drop_reasons.get(hash)

    def pending_nonce(self, address: bytes, ledger: Ledger) -> int:
        """Compute the nonce of an address' next transaction, after those that wait.

        Args:
            address: The address, 20 bytes.
            ledger: The ledger after the latest block.

        Returns:
            The first nonce from the account's on that no waiting transaction has.
        """
        nonce = ledger.account(address).nonce
        queue = self._senders.get(address)
        while queue is not None and nonce in queue.entries:
            nonce += 1
        return nonce

    def after_block(
        self, applied: Sequence[Transaction], ledger: Ledger, height: int, time_ms: int
    ) -> list[Dropped]:
        """Follow the ledger by a block.

        Args:
            applied: The block's transactions.
            ledger: The ledger after the block.
            height: The block's height.
            time_ms: The time that the next block may have, Unix ms.

        Returns:
            The transactions that were removed because they can never be applied any more.
        """
        for transaction in applied:
            self._drop_reasons.discard(transaction.hash)
            self.remove(transaction.hash)
        due = dict.fromkeys(self._rechecks.senders_due(height, ledger.reader))
        for sender in {transaction.sender for transaction in applied}.difference(due):
            queue = self._senders.get(sender)
            if queue is not None and not still_applies(queue, sender, ledger):
                due[sender] = None
        return self.review(due, ledger, height, time_ms)

    def remove(self, hash: bytes) -> None:
        """Remove a transaction if it waits; the sender's later ones stay.

        Args:
            hash: The transaction's hash, 32 bytes.
        """
        if hash in self._entries:
            self._remove(self._entries[hash])

    def review(
        self, senders: Iterable[bytes], ledger: Ledger, height: int, time_ms: int
    ) -> list[Dropped]:
        """Check all transactions of some senders again.

        Args:
            senders: Addresses, 20 bytes each.
            ledger: The ledger after the latest block.
            height: The height of the latest block.
            time_ms: The time that the next block may have, Unix ms.

        Returns:
            The transactions that were removed because they can never be applied any more.
        """
        return [
            drop for sender in senders for drop in self._review(sender, ledger, height, time_ms)
        ]

    def _review(self, sender: bytes, ledger: Ledger, height: int, time_ms: int) -> list[Dropped]:
        queue = self._senders.get(sender)
        if queue is None:
            return []
        state = PendingState(ledger, height)
        dropped: list[Dropped] = []
        for entry in queue.in_order():
            refusal = state.apply(entry.transaction, time_ms)
            reason = self._reason_to_drop(entry, refusal, height)
            if reason is not None:
                self._drop(entry, reason)
                dropped.append(Dropped(entry.transaction, reason))
                continue
            if refusal is not None and entry.early is None:
                entry.held_since = height
            entry.early = refusal
            self._usage.note_early(entry)
            self._rechecks.note(entry, ledger.reader)
        queue.state = state
        return dropped

    def _reason_to_drop(
        self, entry: Entry, refusal: RefusalError | None, height: int
    ) -> RefusalError | None:
        if refusal is None or refusal.code not in PREMATURE_CODES:
            return refusal
        if entry.early is not None and height - entry.held_since >= self._limits.held_blocks:
            return held_too_long(self._limits.held_blocks, refusal)
        return None

    def _check_new(self, transaction: Transaction, replaced: Entry | None, ledger: Ledger) -> None:
        if transaction.hash in self._entries:
            raise already_pending(transaction)
        if replaced is None:
            return
        replaced_fee = replaced.transaction.body.fee
        body_bytes, policy = len(transaction.body_bytes), transaction.policy
        own_min_fee = min_fee(ledger.genesis.parameters, body_bytes, policy)
        needed = min_replacement_fee(replaced_fee, own_min_fee)
        if transaction.body.fee < needed:
            raise replacement_underpriced(transaction, replaced_fee, needed)

    def _find_step(
        self, transaction: Transaction, replaced: Entry | None, ledger: Ledger
    ) -> Step | None:
        """Find the reserved step that a new transaction is, if there is room for it."""
        step = find_step(transaction, ledger.reader)
        if step is None:
            return None
        if replaced is not None and step == replaced.step:
            return step
        if step in self._usage.steps:
            return None
        max_miners = ledger.genesis.parameters.max_validators
        num_bytes = len(transaction.raw)
        return step if self._usage.has_reserved_room(step.miner, num_bytes, max_miners) else None

    def _insert(self, entry: Entry, ledger: Ledger) -> None:
        transaction = entry.transaction
        self._num_arrived += 1
        entry.arrival = self._num_arrived
        self._entries[transaction.hash] = entry
        self._by_bytes[transaction.raw] = transaction
        queue = self._senders.setdefault(transaction.sender, SenderQueue())
        queue.entries[transaction.body.nonce] = entry
        self._usage.add(entry)
        self._rechecks.add(entry, ledger.reader)
        self._eviction.note_change(transaction.sender)
        self._drop_reasons.discard(transaction.hash)

    def _remove(self, entry: Entry) -> None:
        transaction = entry.transaction
        del self._entries[transaction.hash]
        del self._by_bytes[transaction.raw]
        queue = self._senders[transaction.sender]
        del queue.entries[transaction.body.nonce]
        queue.state = None
        if not queue.entries:
            del self._senders[transaction.sender]
        self._usage.remove(entry)
        self._rechecks.remove(entry)
        self._eviction.note_change(transaction.sender)

    def _drop(self, entry: Entry, reason: RefusalError) -> None:
        self._remove(entry)
        self._drop_reasons.put(entry.transaction.hash, reason)
