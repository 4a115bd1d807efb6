"""How transactions enter this node: decoded once, admitted to the mempool, audited and offered.

A transaction is admitted by the ledger's rules alone and relayed at once. One that opens a task
or reveals samples is then audited in the background, because validators vote against a block
that holds an unsound one; only what passed is offered to a proposer.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from copy import copy
from typing import Final, Protocol

from fedcoin.application.node.block_auditor import TRANSIENT_CODES
from fedcoin.application.node.chain import Chain, NewBlock
from fedcoin.application.node.disputed_transactions import is_judged
from fedcoin.contract.errors import LedgerCode
from fedcoin.contract.pending.mempool import Mempool
from fedcoin.data.clock import Clock
from fedcoin.data.errors import RefusalError
from fedcoin.data.lru import LruDict
from fedcoin.data.messages.transactions import Transaction
from fedcoin.network.background_tasks import BackgroundTasks
from fedcoin.network.ports.transaction_port import FeeRates

_MAX_UNSOUND: Final = 4096
"""How many transactions that failed their audit are remembered."""

_YIELD_EVERY: Final = 16
"""After this many transactions of a batch, other tasks get a turn on the event loop."""
_FEW: Final = 4
"""Up to this many transactions are decoded on the event loop; to start a thread takes as long."""

log = logging.getLogger(__name__)


class TransactionAudit(Protocol):
    """Checks whether this node would vote for a block with a transaction."""

    async def check_transaction(self, transaction: Transaction) -> None:
        """Audit a transaction that the ledger accepts.

        Args:
            transaction: The decoded and verified transaction.

        Raises:
            RefusalError: A code of `Auditor.check_transaction`, such as UNKNOWN_ARTIFACT or
                AUDIT_FAILED: this node would vote against a block with this transaction.
        """


class TransactionIntake:
    """Admits transactions to the mempool, audits them, and offers the audited ones to a proposer.

    Implements `TransactionPort` of `fedcoin.network.ports.transaction_port`. All methods must be
    called on one event loop.
    """

    def __init__(
        self,
        mempool: Mempool,
        chain: Chain,
        audit: TransactionAudit,
        owner: BackgroundTasks,
        clock: Clock,
    ) -> None:
        """Connect a mempool to a chain.

        Args:
            mempool: The waiting transactions; only this object changes it.
            chain: The chain; it will look for the transactions of blocks in the mempool.
            audit: Checks whether this node would vote for a block with a transaction.
            owner: Runs the audits.
            clock: The node's clock, Unix ms.
        """
        self._mempool = mempool
        self._chain = chain
        self._audit = audit
        self._owner = owner
        self._clock = clock
        self._audits: dict[bytes, asyncio.Task[RefusalError | None]] = {}
        self._sound: set[bytes] = set()
        # By hash, those in the mempool that are audited.
        self._judged: dict[bytes, Transaction] = {}
        self._unsound: LruDict[bytes, RefusalError] = LruDict(_MAX_UNSOUND)
        # The height of the last final block, and the places of its transactions by their hashes.
        self._last: tuple[int, dict[bytes, int]] = (0, {})
        self._admission_listeners: list[Callable[[Transaction], None]] = []
        self._ready_listeners: list[Callable[[], None]] = []
        chain.transactions.use_mempool(mempool.find)
        chain.on_block(self._after_block)
        chain.on_jump(self._after_jump)

    @property
    def num_transactions(self) -> int:
        """How many transactions wait for a block."""
        return len(self._mempool)

    @property
    def num_bytes(self) -> int:
        """The size of the transactions that wait for a block, in bytes."""
        return self._mempool.num_bytes

    def on_admitted(self, listener: Callable[[Transaction], None]) -> None:
        """Have a function called for each transaction that is new in the mempool.

        Args:
            listener: Called on the event loop.
        """
        self._admission_listeners.append(listener)

    def on_ready(self, listener: Callable[[], None]) -> None:
        """Have a function called whenever there is more to put into a block.

        Args:
            listener: Called on the event loop.
        """
        self._ready_listeners.append(listener)

    def decode(self, raw: bytes) -> Transaction:
        """Decode and verify a signed transaction, unless this node has it already.

        Args:
            raw: A serialised SignedTransaction.

        Returns:
            The transaction that this node has, or a new one.

        Raises:
            RefusalError: TOO_LARGE, MALFORMED, UNKNOWN_ACTION, WRONG_CHAIN or BAD_SIGNATURE when it
                is not a valid transaction of this network (`decode_transaction`).
        """
        return self._chain.transactions.find_or_decode(raw)

    async def decode_all(self, raws: Sequence[bytes]) -> list[Transaction | RefusalError]:
        """Implement `TransactionPort.decode_all`: decode and verify many transactions."""
        known = [self._chain.transactions.find(raw) for raw in raws]
        unknown = [raw for raw, found in zip(raws, known, strict=True) if found is None]
        decoded = iter(await self._decode_unknown(unknown))
        return [next(decoded) if found is None else found for found in known]

    def add_relayed(self, transaction: Transaction) -> bool:
        """Implement `TransactionPort.add_relayed`: admit a transaction that a peer relayed."""
        return self._admit(transaction, hold=True)

    async def submit(self, transaction: Transaction) -> None:
        """Admit a transaction of this process, and wait for its audit.

        Args:
            transaction: The decoded and verified transaction.

        Raises:
            RefusalError: The refusal that `TransactionPort.submit_all` would return, such as
                POOL_FULL or a code of the ledger or of the audit.
        """
        self._admit(transaction, hold=False)
        refusal = await self._wait_for_audit(transaction)
        if refusal is not None:
            raise refusal

    async def submit_all(self, transactions: Sequence[Transaction]) -> list[RefusalError | None]:
        """Implement `TransactionPort.submit_all`: admit a user's transactions, then audit them."""
        refusals: list[RefusalError | None] = []
        for index, transaction in enumerate(transactions):
            if index % _YIELD_EVERY == _YIELD_EVERY - 1:
                await asyncio.sleep(0)
            try:
                self._admit(transaction, hold=False)
            except RefusalError as refusal:
                refusals.append(refusal)
            else:
                refusals.append(None)
        for index, transaction in enumerate(transactions):
            if transaction.hash in self._audits and refusals[index] is None:
                refusals[index] = await self._wait_for_audit(transaction)
        return refusals

    def find(self, raw: bytes) -> Transaction | None:
        """Implement `TransactionPort.find`: look a waiting transaction up by its signed bytes."""
        return self._mempool.find(raw)

    def get(self, hash: bytes) -> Transaction | None:
        """Implement `TransactionPort.get`: look a waiting transaction up by its hash."""
        return self._mempool.get(hash)

    def find_in_last_block(self, hash: bytes) -> tuple[int, int] | None:
        """Implement `TransactionPort.find_in_last_block`: look at what the last block held."""
        height, places = self._last
        index = places.get(hash)
        return None if index is None else (height, index)

    def pending(self) -> Sequence[Transaction]:
        """Implement `TransactionPort.pending`: list all transactions that wait."""
        return self._mempool.pending()

    def fee_rates(self) -> FeeRates:
        """Implement `TransactionPort.fee_rates`: say what transactions must pay at present."""
        max_bytes = self._chain.genesis.parameters.max_block_bytes
        return FeeRates(
            mempool=self._mempool.min_fee_rate(),
            next_block=self._mempool.next_block_fee_rate(max_bytes),
            pending_bytes=self._mempool.num_bytes,
        )

    def dropped_reason(self, hash: bytes) -> str | None:
        """Implement `TransactionPort.dropped_reason`: say why a transaction was dropped."""
        refusal = self._unsound.get(hash) or self._mempool.dropped_reason(hash)
        return refusal.message if refusal is not None else None

    def pending_nonce(self, address: bytes) -> int:
        """Implement `TransactionPort.pending_nonce`: compute an address' next nonce."""
        return self._mempool.pending_nonce(address, self._chain.ledger)

    def ready(self) -> list[Transaction]:
        """List the transactions that a proposer may put into a block.

        Returns:
            Transactions that passed their audit, in an order in which they apply.
        """
        return [tx for tx in self._mempool.candidates() if self._is_sound(tx)]

    def waiting(self) -> list[Transaction]:
        """List what could be in a block by the ledger's rules.

        Returns:
            Transactions in an order in which they apply, with those that were not audited or that
            this node cannot audit now.
        """
        return list(self._mempool.candidates())

    def iterate_ready(self) -> Iterator[Transaction]:
        """Go through what `ready` lists, without putting it in order first.

        Returns:
            The transactions; the mempool must not change meanwhile.
        """
        return filter(self._is_sound, self._mempool.unordered_candidates())

    def has_ready(self) -> bool:
        """Tell whether any transaction is ready for a block.

        Returns:
            True when `ready` would not be empty.
        """
        return any(True for _ in self.iterate_ready())

    def reconsider(self, refused: Iterable[Transaction]) -> None:
        """Check again the senders of transactions that could not be applied to a new block.

        Their transactions that can never be applied are removed from the mempool.

        Args:
            refused: The transactions that could not be applied.
        """
        senders = dict.fromkeys(transaction.sender for transaction in refused)
        ledger, height = self._chain.ledger, self._chain.height()
        self._mempool.review(senders, ledger, height, self._next_time())

    def _admit(self, transaction: Transaction, *, hold: bool) -> bool:
        """Add a transaction to the mempool; False when it waits or is final already."""
        if self._mempool.get(transaction.hash) is not None:
            return False
        unsound = self._unsound.get(transaction.hash)
        if unsound is not None and not self._is_final(transaction):
            # It is not audited again for every peer that relays it.
            raise copy(unsound)
        ledger, height = self._chain.ledger, self._chain.height()
        try:
            applies = self._mempool.add(transaction, ledger, height, self._next_time(), hold=hold)
        except RefusalError:
            # What is final is refused for its nonce, and need not be looked for before.
            if self._is_final(transaction):
                return False
            raise
        for listener in self._admission_listeners:
            listener(transaction)
        if is_judged(transaction):
            self._judged[transaction.hash] = transaction
        if self._judged:
            self._offer(self._mempool.candidates_of(transaction.sender))
        elif applies:
            self._tell_ready()
        return True

    async def _wait_for_audit(self, transaction: Transaction) -> RefusalError | None:
        """Wait for the audit that runs, if any; a transaction that fails it is removed."""
        audit = self._audits.get(transaction.hash)
        refusal = None if audit is None else await asyncio.shield(audit)
        # What depends on the sender's earlier transactions is audited after them.
        if refusal is None or refusal.code is LedgerCode.NONCE_TOO_HIGH:
            return None
        self._mempool.remove(transaction.hash)
        return refusal

    async def _decode_unknown(self, raws: Sequence[bytes]) -> list[Transaction | RefusalError]:
        """Decode transactions in a thread, which pays for more than a few."""
        if len(raws) <= _FEW:
            return self._decode_each(raws)
        return await asyncio.to_thread(self._decode_each, raws)

    def _decode_each(self, raws: Sequence[bytes]) -> list[Transaction | RefusalError]:
        decoded: list[Transaction | RefusalError] = []
        for raw in raws:
            try:
                decoded.append(self.decode(raw))
            except RefusalError as refusal:
                decoded.append(refusal)
        return decoded

    def _is_final(self, transaction: Transaction) -> bool:
        return self._chain.store.index.find_transaction(transaction.hash) is not None

    def _next_time(self) -> int:
        return max(self._clock(), self._chain.time_ms() + 1)

    def _is_sound(self, transaction: Transaction) -> bool:
        return not is_judged(transaction) or transaction.hash in self._sound

    def _offer(self, candidates: Iterable[Transaction]) -> None:
        """Begin the audits that are due, and call the listeners if a transaction is ready."""
        if self._begin_audits(candidates):
            self._tell_ready()

    def _begin_audits(self, candidates: Iterable[Transaction]) -> bool:
        """Audit those that need it; True when any candidate is ready for a block."""
        ready = False
        for transaction in candidates:
            if self._is_sound(transaction):
                ready = True
            elif transaction.hash not in self._audits:
                task = self._owner.start(self._run_audit(transaction), name="audit")
                self._audits[transaction.hash] = task
        return ready

    def _tell_ready(self) -> None:
        for listener in self._ready_listeners:
            listener()

    async def _run_audit(self, transaction: Transaction) -> RefusalError | None:
        result: RefusalError | None = None
        try:
            await self._audit.check_transaction(transaction)
        except RefusalError as refusal:
            log.info("transaction %s failed its audit: %s", transaction.hash.hex()[:16], refusal)
            result = refusal
            if not _says_nothing(refusal):
                self._mempool.remove(transaction.hash)
                self._unsound.put(transaction.hash, refusal)
        else:
            if self._mempool.get(transaction.hash) is not None:
                self._sound.add(transaction.hash)
        finally:
            self._audits.pop(transaction.hash, None)
        if result is None or not _says_nothing(result):
            self._offer(self._mempool.candidates_of(transaction.sender))
        # Otherwise this node could not tell, and audits it again after the next block.
        return result

    def _after_block(self, new: NewBlock) -> None:
        ledger, height = self._chain.ledger, self._chain.height()
        self._mempool.after_block(new.execution.transactions, ledger, height, self._next_time())
        if new.is_followed:
            return
        places = {one.hash: index for index, one in enumerate(new.execution.transactions)}
        self._last = (new.block.height, places)
        self._sound = {hash for hash in self._sound if self._mempool.get(hash) is not None}
        self._offer_all()

    def _after_jump(self) -> None:
        self.reconsider(self._mempool.pending())
        self._offer_all()

    def _offer_all(self) -> None:
        """Begin the audits that are due, and call the listeners if any transaction is ready."""
        self._judged = {
            hash: transaction
            for hash, transaction in self._judged.items()
            if self._mempool.get(hash) is not None
        }
        # Few transactions are audited, and looking for them among all that wait would take long.
        for sender in {transaction.sender for transaction in self._judged.values()}:
            self._begin_audits(self._mempool.candidates_of(sender))
        if self.has_ready():
            self._tell_ready()


def _says_nothing(refusal: RefusalError) -> bool:
    """Tell whether an audit's refusal says nothing about what the transaction claims.

    The ledger's refusals depend on the latest state; the mempool follows them by itself.
    """
    return refusal.code in TRANSIENT_CODES or isinstance(refusal.code, LedgerCode)
