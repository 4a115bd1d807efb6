"""Transactions that wait for a block: admission, audit and relay.

A transaction is admitted on what the ledger alone says of it, and relayed at once. Those that
validators must look into before they vote (tasks and reveals) are audited in the background;
only what passed is offered to a proposer.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable, Sequence
from typing import Protocol

from fedcoin.application.node.block_auditor import PASSING
from fedcoin.application.node.chain import Chain, NewBlock
from fedcoin.contract.mempool import Mempool
from fedcoin.data.clock import Clock
from fedcoin.data.errors import RefusalError
from fedcoin.data.lru import LruDict
from fedcoin.data.messages.transactions import Transaction, action_name, decode_transaction
from fedcoin.network.tasks import TaskOwner

AUDITED = frozenset({"open_task", "reveal_shapley"})
"""The actions that a validator vouches for beyond what the ledger can tell."""

UNSOUND_REMEMBERED = 4096
"""How many transactions that failed their audit are remembered."""

log = logging.getLogger(__name__)


class TransactionAudit(Protocol):
    """The voting rule for one transaction."""

    async def check_transaction(self, transaction: Transaction) -> None:
        """Raises :class:`Refusal` when this node would vote against it."""


class TransactionIntake:
    """The node's pool, on one event loop."""

    def __init__(
        self,
        pool: Mempool,
        chain: Chain,
        audit: TransactionAudit,
        owner: TaskOwner,
        clock: Clock,
    ) -> None:
        self._pool = pool
        self._chain = chain
        self._audit = audit
        self._owner = owner
        self._clock = clock
        self._audits: dict[bytes, asyncio.Task[RefusalError | None]] = {}
        self._sound: set[bytes] = set()
        self._unsound: LruDict[bytes, RefusalError] = LruDict(UNSOUND_REMEMBERED)
        self._admitted: list[Callable[[Transaction], None]] = []
        self._ready: list[Callable[[], None]] = []
        chain.listen(self._after_block)
        chain.on_jump(self._after_jump)

    def on_admitted(self, listener: Callable[[Transaction], None]) -> None:
        """Have ``listener`` called with each transaction that is new here."""
        self._admitted.append(listener)

    def on_ready(self, listener: Callable[[], None]) -> None:
        """Have ``listener`` called whenever there is more to put in a block."""
        self._ready.append(listener)

    async def submit(self, raw: bytes) -> Transaction:
        """Admits a serialised SignedTransaction; one that is there already is returned again.

        What is only too early, since the peer that relays it is a block ahead, is kept aside.
        Raises :class:`Refusal` when it is malformed or the ledger refuses it.
        """
        return self._admit(raw, hold=True)

    async def submit_audited(self, raw: bytes) -> Transaction:
        """Like :meth:`submit` for this node's own users: too early is an error, and so is what
        the audit finds."""
        transaction = self._admit(raw, hold=False)
        audit = self._audits.get(transaction.hash)
        if audit is not None:
            refusal = await asyncio.shield(audit)
            if refusal is not None:
                raise refusal
        return transaction

    def get(self, hash: bytes) -> Transaction | None:
        """The waiting transaction with this hash."""
        return self._pool.get(hash)

    def pending(self) -> Sequence[Transaction]:
        """All that wait, in the order of arrival."""
        return self._pool.pending()

    def dropped_reason(self, hash: bytes) -> str | None:
        """Why a transaction that waited lately is no longer possible."""
        refusal = self._unsound.get(hash) or self._pool.dropped_reason(hash)
        return refusal.message if refusal is not None else None

    def pending_nonce(self, address: bytes) -> int:
        """The nonce of the next transaction of this address."""
        return self._pool.pending_nonce(address, self._chain.ledger)

    def ready(self) -> list[Transaction]:
        """What a proposer may put in a block, in an order in which it applies."""
        return [tx for tx in self._pool.candidates() if self._is_sound(tx)]

    def reconsider(self, refused: Iterable[Transaction]) -> None:
        """Looks anew at transactions that a block could not take; most are dropped."""
        senders = [transaction.sender for transaction in refused]
        self._pool.review(senders, self._chain.ledger, self._chain.height(), self._next_time())

    def _admit(self, raw: bytes, hold: bool) -> Transaction:
        limit = self._chain.genesis.parameters.max_transaction_bytes
        transaction = decode_transaction(raw, self._chain.genesis.chain_id, max_bytes=limit)
        known = self._pool.get(transaction.hash) is not None
        if known or self._chain.store.index.find_transaction(transaction.hash) is not None:
            return transaction
        unsound = self._unsound.get(transaction.hash)
        if unsound is not None:
            # What failed an audit is not looked into again for every peer that relays it.
            raise unsound
        self._pool.add(
            transaction, self._chain.ledger, self._chain.height(), self._next_time(), hold=hold
        )
        for listener in self._admitted:
            listener(transaction)
        self._audit_candidates()
        return transaction

    def _next_time(self) -> int:
        return max(self._clock(), self._chain.time_ms() + 1)

    def _is_sound(self, transaction: Transaction) -> bool:
        return action_name(transaction.body) not in AUDITED or transaction.hash in self._sound

    def _audit_candidates(self) -> None:
        """Begins the audits that are due, and tells if there is anything for a block."""
        ready = False
        for transaction in self._pool.candidates():
            if self._is_sound(transaction):
                ready = True
            elif transaction.hash not in self._audits:
                task = self._owner.start(self._run_audit(transaction), name="audit")
                self._audits[transaction.hash] = task
        if ready:
            for listener in self._ready:
                listener()

    async def _run_audit(self, transaction: Transaction) -> RefusalError | None:
        found: RefusalError | None = None
        try:
            await self._audit.check_transaction(transaction)
        except RefusalError as refusal:
            log.info("transaction %s failed its audit: %s", transaction.hash.hex()[:16], refusal)
            found = refusal
            self._pool.remove(transaction.hash)
            self._remember_unsound(transaction.hash, refusal)
        else:
            if self._pool.get(transaction.hash) is not None:
                self._sound.add(transaction.hash)
        finally:
            self._audits.pop(transaction.hash, None)
        self._audit_candidates()
        return found

    def _after_block(self, new: NewBlock) -> None:
        self._pool.after_block(
            new.execution.transactions, self._chain.ledger, new.block.height, self._next_time()
        )
        self._sound = {hash for hash in self._sound if self._pool.get(hash) is not None}
        self._audit_candidates()

    def _after_jump(self) -> None:
        self.reconsider(self._pool.pending())
        self._audit_candidates()

    def _remember_unsound(self, hash: bytes, refusal: RefusalError) -> None:
        if refusal.code in PASSING:
            # The next submission is looked into again.
            return
        self._unsound.put(hash, refusal)


class LocalPool:
    """The pool as this node's own users see it: an audit that fails is their answer."""

    def __init__(self, pool: TransactionIntake) -> None:
        self._pool = pool
        self.get = pool.get
        self.pending = pool.pending
        self.dropped_reason = pool.dropped_reason
        self.pending_nonce = pool.pending_nonce

    async def submit(self, raw: bytes) -> Transaction:
        """Admits a transaction and waits for its audit."""
        return await self._pool.submit_audited(raw)
