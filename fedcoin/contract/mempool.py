"""The mempool: transactions that wait for a block.

It is bounded in number, in bytes and for each sender. A sender's transactions form a sequence by
their nonces, and each one is checked as if those before it were applied. A transaction that a
peer relays may be too early for this node, because the peer is a block ahead
(`errors.PREMATURE_CODES`): on request the mempool holds it for a few blocks, and it becomes a
candidate for a block as soon as it can be applied.

A sender may replace a transaction by another with the same nonce and a higher fee
(`admission.min_replacement_fee`); the transactions after it are then checked again.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from fedcoin.contract.admission import min_fee, min_replacement_fee
from fedcoin.contract.blocks.ledger import Ledger, PendingState
from fedcoin.contract.errors import PREMATURE_CODES, LedgerCode
from fedcoin.data.errors import RefusalError
from fedcoin.data.lru import LruDict
from fedcoin.data.messages.transactions import Transaction, action_name

_MAX_DROP_REASONS: Final = 4_096
"""For how many dropped transactions the reason is remembered."""


@dataclass(frozen=True, slots=True)
class MempoolLimits:
    """The capacity of the mempool."""

    # Transactions of all senders.
    transactions: int = 10_000
    # Bytes of all serialised transactions.
    bytes: int = 32 << 20
    # Transactions of one sender.
    per_sender: int = 64
    # Transactions that are held because they are too early.
    held: int = 1_000
    # Blocks for which a transaction may be held.
    held_blocks: int = 16


class Dropped(NamedTuple):
    """A transaction that the mempool removed because it can no longer be applied."""

    transaction: Transaction
    # The error of the rule that it breaks, or that it was held for too long.
    reason: RefusalError


@dataclass(slots=True)
class _Entry:
    transaction: Transaction
    # Why it cannot be applied yet; None when it can.
    early: RefusalError | None
    # The height of the latest block when it became too early.
    held_since: int


@dataclass(slots=True)
class _SenderQueue:
    """One sender's transactions by nonce."""

    entries: dict[int, _Entry] = field(default_factory=dict)
    # The state after those that can be applied; None when it has to be computed anew.
    state: PendingState | None = None

    def in_order(self) -> list[_Entry]:
        return [self.entries[nonce] for nonce in sorted(self.entries)]

    def candidates(self) -> Iterator[Transaction]:
        for entry in self.in_order():
            if entry.early is not None:
                return
            yield entry.transaction


class Mempool:
    """The transactions that wait, in the order of their arrival. Made for one thread."""

    def __init__(self, limits: MempoolLimits | None = None) -> None:
        """Make an empty mempool.

        Args:
            limits: How much it holds; None for the defaults.
        """
        self._limits = limits or MempoolLimits()
        self._entries: dict[bytes, _Entry] = {}
        self._by_bytes: dict[bytes, Transaction] = {}
        self._senders: dict[bytes, _SenderQueue] = {}
        self._num_bytes = 0
        self._num_held = 0
        self._drop_reasons: LruDict[bytes, RefusalError] = LruDict(_MAX_DROP_REASONS)

    def __len__(self) -> int:
        return len(self._entries)

    @property
    def num_bytes(self) -> int:
        """The bytes of all serialised transactions that wait."""
        return self._num_bytes

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
                its fee is too low to replace one with the same nonce; TOO_MANY_PENDING or
                POOL_FULL when a limit is reached; and the ledger's codes when it cannot be
                applied.
        """
        queue = self._senders.get(transaction.sender) or _SenderQueue()
        nonce = transaction.body.nonce
        replaced = queue.entries.get(nonce)
        self._check_new(transaction, replaced, ledger)
        self._check_room(transaction, queue, replaced)
        is_last = nonce > max(queue.entries, default=-1)
        state = self._state_before(nonce, queue, ledger, height, time_ms, is_last=is_last)
        refusal = state.apply(transaction, time_ms)
        if refusal is not None:
            self._check_may_hold(refusal, hold=hold and replaced is None)
        if replaced is not None:
            self._drop(replaced, _replaced_by(transaction))
        self._insert(_Entry(transaction, refusal, height))
        queue = self._senders[transaction.sender]
        if is_last:
            queue.state = state
        elif refusal is None:
            self._review(transaction.sender, ledger, height, time_ms)
        return refusal is None

    def candidates(self) -> Iterator[Transaction]:
        """List the transactions that may go into the next block.

        Yields:
            Transactions in the order of arrival; those of one sender by nonce.
        """
        queues: dict[bytes, Iterator[Transaction]] = {}
        for entry in self._entries.values():
            sender = entry.transaction.sender
            if sender not in queues:
                queues[sender] = self._senders[sender].candidates()
            candidate = next(queues[sender], None)
            if candidate is not None:
                yield candidate

    def candidates_of(self, sender: bytes) -> list[Transaction]:
        """List the transactions of one sender that the next block can hold.

        Args:
            sender: The sender's address, 20 bytes.

        Returns:
            The sender's transactions that can be applied, by nonce.
        """
        queue = self._senders.get(sender)
        return [] if queue is None else list(queue.candidates())

    def pending(self) -> list[Transaction]:
        """List everything that waits, held transactions included.

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
        for queue in self._senders.values():
            queue.state = None
        senders = {transaction.sender: None for transaction in applied}
        for entry in self._entries.values():
            if _may_have_changed(entry, height):
                senders[entry.transaction.sender] = None
        return self.review(senders, ledger, height, time_ms)

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

    def _state_before(
        self,
        nonce: int,
        queue: _SenderQueue,
        ledger: Ledger,
        height: int,
        time_ms: int,
        *,
        is_last: bool,
    ) -> PendingState:
        """The state that a new transaction of a sender meets."""
        if is_last and queue.state is not None and queue.state.follows(ledger, height):
            return queue.state
        state = PendingState(ledger, height)
        for entry in queue.in_order():
            if entry.transaction.body.nonce < nonce:
                state.apply(entry.transaction, time_ms)
        return state

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
            self._num_held += (refusal is not None) - (entry.early is not None)
            entry.early = refusal
        queue.state = state
        return dropped

    def _reason_to_drop(
        self, entry: _Entry, refusal: RefusalError | None, height: int
    ) -> RefusalError | None:
        if refusal is None or refusal.code not in PREMATURE_CODES:
            return refusal
        if entry.early is not None and height - entry.held_since >= self._limits.held_blocks:
            return RefusalError(
                LedgerCode.HELD_TOO_LONG,
                f"could not be applied for {self._limits.held_blocks} blocks: {refusal.message}",
                field=refusal.field,
                limit=str(self._limits.held_blocks),
            )
        return None

    def _check_new(self, transaction: Transaction, replaced: _Entry | None, ledger: Ledger) -> None:
        if transaction.hash in self._entries:
            raise RefusalError(
                LedgerCode.ALREADY_PENDING,
                f"transaction {transaction.hash.hex()} is in the mempool already",
                field="transaction",
            )
        if replaced is None:
            return
        replaced_fee = replaced.transaction.body.fee
        own_min_fee = min_fee(ledger.genesis.parameters, len(transaction.body_bytes))
        needed = min_replacement_fee(replaced_fee, own_min_fee)
        if transaction.body.fee < needed:
            raise RefusalError(
                LedgerCode.REPLACEMENT_UNDERPRICED,
                f"fee is {transaction.body.fee} sap, and another transaction of this sender with"
                f" nonce {transaction.body.nonce} waits already, with a fee of {replaced_fee} sap:"
                f" pay at least {needed} to replace it, or sign with the next nonce",
                field="fee",
                limit=str(needed),
            )

    def _check_room(
        self, transaction: Transaction, queue: _SenderQueue, replaced: _Entry | None
    ) -> None:
        if replaced is None and len(queue.entries) >= self._limits.per_sender:
            raise RefusalError(
                LedgerCode.TOO_MANY_PENDING,
                f"{len(queue.entries)} transactions of this sender wait; at most"
                f" {self._limits.per_sender} may: wait for a block",
                field="nonce",
                limit=str(self._limits.per_sender),
            )
        if replaced is None and len(self) >= self._limits.transactions:
            raise _full(f"{len(self)} transactions wait")
        freed = 0 if replaced is None else len(replaced.transaction.raw)
        if self._num_bytes - freed + len(transaction.raw) > self._limits.bytes:
            raise _full(f"{self._num_bytes} bytes wait")

    def _check_may_hold(self, refusal: RefusalError, *, hold: bool) -> None:
        # A replacement is never held: a sender without coins could else have any number of
        # transactions relayed, one in place of the other.
        if not hold or refusal.code not in PREMATURE_CODES:
            raise refusal
        if self._num_held >= self._limits.held:
            raise _full(f"{self._limits.held} transactions are held as too early", refusal)

    def _insert(self, entry: _Entry) -> None:
        transaction = entry.transaction
        self._entries[transaction.hash] = entry
        self._by_bytes[transaction.raw] = transaction
        queue = self._senders.setdefault(transaction.sender, _SenderQueue())
        queue.entries[transaction.body.nonce] = entry
        self._num_bytes += len(transaction.raw)
        self._num_held += entry.early is not None
        self._drop_reasons.discard(transaction.hash)

    def _remove(self, entry: _Entry) -> None:
        transaction = entry.transaction
        del self._entries[transaction.hash]
        del self._by_bytes[transaction.raw]
        queue = self._senders[transaction.sender]
        del queue.entries[transaction.body.nonce]
        queue.state = None
        if not queue.entries:
            del self._senders[transaction.sender]
        self._num_bytes -= len(transaction.raw)
        self._num_held -= entry.early is not None

    def _drop(self, entry: _Entry, reason: RefusalError) -> None:
        self._remove(entry)
        self._drop_reasons.put(entry.transaction.hash, reason)


def _may_have_changed(entry: _Entry, height: int) -> bool:
    """Whether a block may have changed the verdict on a transaction, its sender's own apart.

    A transfer depends on its sender's account alone, so it need not be checked after each block.
    """
    body = entry.transaction.body
    depends_on_sender_alone = action_name(body) == "transfer" and entry.early is None
    return not depends_on_sender_alone or body.expiry_height <= height


def _replaced_by(transaction: Transaction) -> RefusalError:
    return RefusalError(
        LedgerCode.REPLACED,
        f"its sender replaced it by transaction {transaction.hash.hex()}, which pays more",
        field="fee",
        limit=str(transaction.body.fee),
    )


def _full(what: str, refusal: RefusalError | None = None) -> RefusalError:
    more = f", and this one cannot be applied yet: {refusal.message}" if refusal else ""
    return RefusalError(
        LedgerCode.POOL_FULL, f"the mempool is full: {what}{more}", field="transaction"
    )
