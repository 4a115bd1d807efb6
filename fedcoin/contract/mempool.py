"""Transactions that wait for a block.

Bounded in number and bytes, and for each sender. A sender's transactions form a chain by their
nonces, and each is checked as if those before it were applied. Where a peer is a block ahead, what
it relays may be too early here (`errors.EARLY`): asked to, the pool holds that aside for a few
blocks, and it becomes a candidate as soon as it could be applied.

A sender may replace a transaction by another with the same nonce and a higher fee
(`admission.replacing_fee`); those after it are then looked at anew.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from fedcoin.contract.admission import least_fee, replacing_fee
from fedcoin.contract.blocks.ledger import Ledger
from fedcoin.contract.errors import PREMATURE_CODES, LedgerCode
from fedcoin.data.errors import RefusalError
from fedcoin.data.lru import LruDict
from fedcoin.data.messages.transactions import Transaction, action_name

_REMEMBERED: Final = 4_096
"""Of how many dropped transactions the reason is remembered."""


@dataclass(frozen=True, slots=True)
class MempoolLimits:
    """How much may wait."""

    transactions: int = 10_000
    bytes: int = 32 << 20
    per_sender: int = 64
    held: int = 1_000
    """How many may be held because they are too early."""
    held_blocks: int = 16
    """For how many blocks each."""


class Dropped(NamedTuple):
    """A transaction that waits no more, and why."""

    transaction: Transaction
    reason: RefusalError


@dataclass(slots=True)
class _Entry:
    transaction: Transaction
    early: RefusalError | None
    """Why it cannot be applied yet; None when it can."""
    held_since: int
    """The height of the latest block when it became too early."""


@dataclass(slots=True)
class Mempool:
    """What waits, in the order of arrival."""

    limits: MempoolLimits = field(default_factory=MempoolLimits)
    _entries: dict[bytes, _Entry] = field(default_factory=dict)
    _chains: dict[bytes, dict[int, _Entry]] = field(default_factory=dict)
    _bytes: int = 0
    _reasons: LruDict[bytes, RefusalError] = field(default_factory=lambda: LruDict(_REMEMBERED))

    def __len__(self) -> int:
        """How many transactions wait."""
        return len(self._entries)

    def add(
        self,
        transaction: Transaction,
        ledger: Ledger,
        height: int,
        time_ms: int,
        *,
        hold: bool = False,
    ) -> bool:
        """Take a transaction in; returns whether it could be applied at once.

        `height` is that of the latest block, `time_ms` the time that the next one may have. With
        `hold`, what is only too early is kept aside, but for a replacement.
        Raises `Refusal`: ALREADY_PENDING, REPLACEMENT_UNDERPRICED, TOO_MANY_PENDING, POOL_FULL,
        and whatever the ledger would refuse it with.
        """
        chain = self._chains.get(transaction.sender, {})
        nonce = transaction.body.nonce
        replaced = chain.get(nonce)
        self._check_new(transaction, replaced, ledger)
        self._check_room(transaction, replaced)
        before = [chain[n].transaction for n in sorted(chain) if n < nonce]
        refusal = ledger.check_all([*before, transaction], height, time_ms)[-1]
        if refusal is not None:
            # Else whoever has no coins could have any number of these relayed, one for another.
            if not hold or replaced is not None or refusal.code not in PREMATURE_CODES:
                raise refusal
            if sum(entry.early is not None for entry in self._entries.values()) >= self.limits.held:
                raise _full(f"{self.limits.held} transactions are held as too early", refusal)
        if replaced is not None:
            self._drop(replaced, _replaced_by(transaction))
        self._insert(_Entry(transaction, refusal, height))
        if refusal is None and max(chain, default=0) > nonce:
            self._review(transaction.sender, ledger, height, time_ms)
        return refusal is None

    def candidates(self) -> Iterator[Transaction]:
        """What may go into the next block, in the order of arrival, each sender's by nonce."""
        ready = {sender: _ready(chain) for sender, chain in self._chains.items()}
        for entry in self._entries.values():
            following = next(ready[entry.transaction.sender], None)
            if following is not None:
                yield following

    def has_candidates(self) -> bool:
        """Is there anything for a block?"""
        return any(entry.early is None for entry in self._entries.values())

    def pending(self) -> list[Transaction]:
        """Everything that waits, in the order of arrival."""
        return [entry.transaction for entry in self._entries.values()]

    def get(self, hash: bytes) -> Transaction | None:
        """The waiting transaction with this hash."""
        entry = self._entries.get(hash)
        return None if entry is None else entry.transaction

    def dropped_reason(self, hash: bytes) -> RefusalError | None:
        """Why a transaction waits no more, if it was dropped lately."""
        return self._reasons.get(hash)

    def pending_nonce(self, address: bytes, ledger: Ledger) -> int:
        """The nonce of an address' next transaction, after those that wait."""
        nonce = ledger.account(address).nonce
        chain = self._chains.get(address, {})
        while nonce in chain:
            nonce += 1
        return nonce

    def after_block(
        self, applied: Sequence[Transaction], ledger: Ledger, height: int, time_ms: int
    ) -> list[Dropped]:
        """Follow the ledger by a block; what can never be applied any more is dropped.

        `applied` are the block's transactions (`Execution.transactions`), `height` is its height,
        and `time_ms` the time that the next one may have.
        """
        for transaction in applied:
            self._reasons.discard(transaction.hash)
            self.remove(transaction.hash)
        senders = {transaction.sender: None for transaction in applied}
        for entry in self._entries.values():
            if _may_have_changed(entry, height):
                senders[entry.transaction.sender] = None
        return self.review(senders, ledger, height, time_ms)

    def remove(self, hash: bytes) -> None:
        """Forget a transaction, if it waits; what its sender signed later waits on."""
        if hash in self._entries:
            self._remove(self._entries[hash])

    def review(
        self, senders: Iterable[bytes], ledger: Ledger, height: int, time_ms: int
    ) -> list[Dropped]:
        """Look at these senders' transactions anew, as when a block could not take one."""
        return [
            drop for sender in senders for drop in self._review(sender, ledger, height, time_ms)
        ]

    def _review(self, sender: bytes, ledger: Ledger, height: int, time_ms: int) -> list[Dropped]:
        chain = self._chains.get(sender, {})
        entries = [chain[nonce] for nonce in sorted(chain)]
        refusals = ledger.check_all([entry.transaction for entry in entries], height, time_ms)
        dropped: list[Dropped] = []
        for entry, refusal in zip(entries, refusals, strict=True):
            reason = self._reason_to_drop(entry, refusal, height)
            if reason is not None:
                self._drop(entry, reason)
                dropped.append(Dropped(entry.transaction, reason))
                continue
            if refusal is not None and entry.early is None:
                entry.held_since = height
            entry.early = refusal
        return dropped

    def _reason_to_drop(
        self, entry: _Entry, refusal: RefusalError | None, height: int
    ) -> RefusalError | None:
        if refusal is None or refusal.code not in PREMATURE_CODES:
            return refusal
        if entry.early is not None and height - entry.held_since >= self.limits.held_blocks:
            return RefusalError(
                LedgerCode.HELD_TOO_LONG,
                f"could not be applied for {self.limits.held_blocks} blocks: {refusal.message}",
                field=refusal.field,
                limit=str(self.limits.held_blocks),
            )
        return None

    def _check_new(self, transaction: Transaction, replaced: _Entry | None, ledger: Ledger) -> None:
        if transaction.hash in self._entries:
            raise RefusalError(
                LedgerCode.ALREADY_PENDING,
                f"transaction {transaction.hash.hex()} waits already",
                field="transaction",
            )
        if replaced is None:
            return
        waiting = replaced.transaction.body.fee
        least = least_fee(ledger.genesis.parameters, len(transaction.body_bytes))
        needed = replacing_fee(waiting, least)
        if transaction.body.fee < needed:
            raise RefusalError(
                LedgerCode.REPLACEMENT_UNDERPRICED,
                f"fee is {transaction.body.fee} sap, and another transaction of this sender with"
                f" nonce {transaction.body.nonce} waits already, with a fee of {waiting} sap: pay"
                f" at least {needed} to replace it, or sign with the next nonce",
                field="fee",
                limit=str(needed),
            )

    def _check_room(self, transaction: Transaction, replaced: _Entry | None) -> None:
        chain = self._chains.get(transaction.sender, {})
        if replaced is None and len(chain) >= self.limits.per_sender:
            raise RefusalError(
                LedgerCode.TOO_MANY_PENDING,
                f"{len(chain)} transactions of this sender wait: wait for a block",
                field="nonce",
                limit=str(self.limits.per_sender),
            )
        if replaced is None and len(self) >= self.limits.transactions:
            raise _full(f"{len(self)} transactions wait")
        freed = 0 if replaced is None else len(replaced.transaction.raw)
        if self._bytes - freed + len(transaction.raw) > self.limits.bytes:
            raise _full(f"{self._bytes} bytes wait")

    def _insert(self, entry: _Entry) -> None:
        transaction = entry.transaction
        self._entries[transaction.hash] = entry
        self._chains.setdefault(transaction.sender, {})[transaction.body.nonce] = entry
        self._bytes += len(transaction.raw)
        self._reasons.discard(transaction.hash)

    def _remove(self, entry: _Entry) -> None:
        transaction = entry.transaction
        del self._entries[transaction.hash]
        chain = self._chains[transaction.sender]
        del chain[transaction.body.nonce]
        if not chain:
            del self._chains[transaction.sender]
        self._bytes -= len(transaction.raw)

    def _drop(self, entry: _Entry, reason: RefusalError) -> None:
        self._remove(entry)
        self._reasons.put(entry.transaction.hash, reason)


def _may_have_changed(entry: _Entry, height: int) -> bool:
    """Could the block have made a difference to this transaction, its sender's own apart?

    A transfer depends on its sender's account alone, so it need not be looked at each time.
    """
    body = entry.transaction.body
    steady = action_name(body) == "transfer" and entry.early is None
    return not steady or body.expiry_height <= height


def _ready(chain: dict[int, _Entry]) -> Iterator[Transaction]:
    for nonce in sorted(chain):
        if chain[nonce].early is not None:
            return
        yield chain[nonce].transaction


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
        LedgerCode.POOL_FULL, f"the pool is full: {what}{more}", field="transaction"
    )
