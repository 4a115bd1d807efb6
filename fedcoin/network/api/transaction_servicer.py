"""TransactionService: submit transactions, look them up, follow them and list the mempool."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from typing import Final

from fedcoin.contract.queries import block_queries
from fedcoin.contract.views import transaction_view
from fedcoin.data.errors import RefusalError
from fedcoin.data.messages.transactions import Transaction
from fedcoin.network.api import paging
from fedcoin.network.api.chain_watching import watch_changes
from fedcoin.network.api.request_fields import (
    MAX_NAMED,
    choose_page_size,
    parse_hash,
    parse_hash_range,
    refuse_several,
)
from fedcoin.network.call_limits import CallLimits, SubmissionLimiter, check_batch
from fedcoin.network.errors import NetworkCode
from fedcoin.network.interceptors import CallContext
from fedcoin.network.ports.chain_port import ChainPort
from fedcoin.network.ports.transaction_port import TransactionPort
from fedcoin.v1 import transaction_service_pb2 as pb
from fedcoin.v1.transaction_service_pb2_grpc import TransactionServiceServicer
from fedcoin.v1.views_pb2 import (
    TRANSACTION_STATUS_DROPPED,
    TRANSACTION_STATUS_FINAL,
    TRANSACTION_STATUS_PENDING,
    TransactionView,
)

PENDING_PAGE: Final = 100
"""The number of transactions in a page by default."""
MAX_PENDING_PAGE: Final = 500
"""The largest number of transactions in a page."""

# Each block wakes the watchers. A transaction that the mempool drops between two blocks is noticed
# after at most this time.
_MAX_INTERVAL_S: Final = 1.0

# A page token holds the shortened hashes of the page's last transactions, so that the next page is
# found although some of them have left the mempool since.
_NUM_REMEMBERED: Final = 8
_SHORT_HASH_BYTES: Final = 8

_LIST_NAME: Final = "pending"


class TransactionServicer(TransactionServiceServicer):
    """Serves `transaction_service.proto`, which states each method's limits and errors."""

    def __init__(
        self, chain: ChainPort, pool: TransactionPort, limits: CallLimits | None = None
    ) -> None:
        """Serve a chain and a mempool.

        Args:
            chain: The chain of final blocks.
            pool: The node's mempool.
            limits: What each host may submit; None takes the default limits.
        """
        self._chain = chain
        self._pool = pool
        self._submissions = SubmissionLimiter(limits or CallLimits())
        # Signatures of one batch after another are verified, in one thread: many at once would take
        # the threads in which this node signs its votes.
        self._verifying = asyncio.Lock()

    async def SubmitTransaction(
        self, request: pb.SubmitTransactionRequest, context: CallContext
    ) -> pb.SubmitTransactionResponse:
        """Put a transaction into the mempool.

        Raises:
            RefusalError: TOO_LARGE when it has too many bytes; POOL_FULL or TOO_MANY_PENDING when
                the mempool, or its part for one sender, is full; REPLACEMENT_UNDERPRICED when it
                pays too little to replace another one; or the code of the rule that refuses the
                transaction; RATE_LIMITED when the caller's host submits too many a second.
        """
        if not request.transaction:
            raise RefusalError(
                NetworkCode.MALFORMED,
                "transaction is empty; it must be a serialised SignedTransaction",
                field="transaction",
            )
        self._submissions.count(context.peer(), [request.transaction])
        (decoded,) = await self._pool.decode_all([request.transaction])
        if isinstance(decoded, RefusalError):
            raise decoded
        (refusal,) = await self._pool.submit_all([decoded])
        if refusal is not None:
            raise refusal
        return pb.SubmitTransactionResponse(hash=decoded.hash.hex())

    async def SubmitTransactions(
        self, request: pb.SubmitTransactionsRequest, context: CallContext
    ) -> pb.SubmitTransactionsResponse:
        """Put transactions into the mempool, each of which is answered for itself.

        Raises:
            RefusalError: TOO_LARGE when there are more than one call may hold; RATE_LIMITED when
                the caller's host submits too many a second.
        """
        check_batch(request.transactions)
        self._submissions.count(context.peer(), request.transactions)
        async with self._verifying:
            decoded = await self._pool.decode_all(request.transactions)
        accepted = [one for one in decoded if isinstance(one, Transaction)]
        refusals = iter(await self._pool.submit_all(accepted))
        return pb.SubmitTransactionsResponse(
            results=[
                _result(one, next(refusals)) if isinstance(one, Transaction) else _result(None, one)
                for one in decoded
            ]
        )

    async def GetTransaction(
        self, request: pb.GetTransactionRequest, context: CallContext
    ) -> pb.GetTransactionResponse:
        """Show a transaction as it is now.

        Raises:
            RefusalError: MALFORMED when the hash is invalid, or several begin with its digits;
                TRANSACTION_NOT_FOUND when it is neither in the mempool nor in the chain.
        """
        lowest, highest = parse_hash_range(request.hash, "hash")
        hash = lowest if lowest == highest else await self._only_one(request.hash, lowest, highest)
        return pb.GetTransactionResponse(transaction=await self._existing(hash))

    async def WatchTransaction(
        self, request: pb.WatchTransactionRequest, context: CallContext
    ) -> AsyncGenerator[pb.WatchTransactionResponse, None]:
        """Send a transaction's view now and at each change, until it is final or dropped.

        Raises:
            RefusalError: MALFORMED when the hash is invalid; TRANSACTION_NOT_FOUND when it is
                neither in the mempool nor in the chain.
        """
        hash = parse_hash(request.hash, "hash")
        last: TransactionView | None = None
        async for _ in watch_changes(self._chain, _MAX_INTERVAL_S):
            view = await (self._existing(hash) if last is None else self._later(hash, last))
            if view != last:
                yield pb.WatchTransactionResponse(transaction=view)
            if view.status != TRANSACTION_STATUS_PENDING:
                return
            last = view

    async def ListPendingTransactions(
        self, request: pb.ListPendingTransactionsRequest, context: CallContext
    ) -> pb.ListPendingTransactionsResponse:
        """List a page of the mempool, in the order of arrival.

        Raises:
            RefusalError: BAD_PAGE_TOKEN when this list did not make the page token.
        """
        size = choose_page_size(request.page_size, default=PENDING_PAGE, maximum=MAX_PENDING_PAGE)
        position = paging.decode_token(_LIST_NAME, request.page_token)
        waiting = self._pool.pending()
        if position is not None:
            starts = range(0, len(position), _SHORT_HASH_BYTES)
            recent = [position[start : start + _SHORT_HASH_BYTES] for start in starts]
            waiting = waiting[paging.find_next_index(waiting, recent, _short) :]
        views, last = await asyncio.to_thread(paging.fill_page, waiting, size, _pending_view)
        token = ""
        if last is not None:
            shown = waiting[: len(views)][-_NUM_REMEMBERED:]
            token = paging.encode_token(_LIST_NAME, b"".join(_short(one) for one in shown))
        return pb.ListPendingTransactionsResponse(transactions=views, next_page_token=token)

    async def _only_one(self, digits: str, lowest: bytes, highest: bytes) -> bytes:
        """Find the one transaction of the mempool and the chain whose hash begins with digits."""
        waiting = [one.hash for one in self._pool.pending() if lowest <= one.hash <= highest]
        list_hashes = self._chain.store.index.list_hashes
        final = await asyncio.to_thread(list_hashes, lowest, highest, MAX_NAMED)
        found = sorted({*waiting, *final})[:MAX_NAMED]
        if len(found) == 1:
            return found[0]
        if not found:
            raise RefusalError(
                NetworkCode.TRANSACTION_NOT_FOUND,
                f"no transaction in the mempool or in the chain begins with {digits}",
                field="hash",
            )
        raise refuse_several("transactions", digits, found)

    async def _existing(self, hash: bytes) -> TransactionView:
        view = await self._view(hash)
        if view is None:
            first = self._chain.store.base_height() + 1
            since = f", of which this node keeps the blocks from {first} on" if first > 1 else ""
            raise RefusalError(
                NetworkCode.TRANSACTION_NOT_FOUND,
                f"transaction {hash.hex()} is neither in the mempool nor in the chain{since}",
                field="hash",
            )
        return view

    async def _later(self, hash: bytes, last: TransactionView) -> TransactionView:
        if self._pool.get(hash) is not None:
            # A block takes it out of the mempool before the watchers are woken.
            return last
        final = self._pool.find_in_last_block(hash)
        if final is not None:
            return _finished(last, *final)
        view = await self._view(hash)
        if view is None or view.status == TRANSACTION_STATUS_DROPPED:
            return _gone(last, view)
        return view

    async def _view(self, hash: bytes) -> TransactionView | None:
        # A block takes it out of the mempool before anybody hears of the block.
        waiting = self._pool.get(hash)
        if waiting is not None:
            return _pending_view(waiting)
        final = await asyncio.to_thread(block_queries.get_transaction, self._chain.store, hash)
        if final is not None:
            return final
        reason = self._pool.dropped_reason(hash)
        if reason is None:
            return None
        return TransactionView(hash=hash.hex(), status=TRANSACTION_STATUS_DROPPED, reason=reason)


def _result(transaction: Transaction | None, refusal: RefusalError | None) -> pb.SubmissionResult:
    """Answer for one transaction of a batch: None for one that could not be decoded."""
    hash = "" if transaction is None else transaction.hash.hex()
    if refusal is None:
        return pb.SubmissionResult(hash=hash)
    return pb.SubmissionResult(
        hash=hash,
        reason=refusal.code.name,
        message=str(refusal),
        field=refusal.field,
        limit=refusal.limit,
    )


def _pending_view(transaction: Transaction) -> TransactionView:
    return transaction_view(transaction, TRANSACTION_STATUS_PENDING)


def _finished(last: TransactionView, height: int, index: int) -> TransactionView:
    """Show a watched transaction as final, with what was known of it before."""
    final = TransactionView()
    final.CopyFrom(last)
    final.status = TRANSACTION_STATUS_FINAL
    final.height, final.index = height, index
    return final


def _gone(last: TransactionView, dropped: TransactionView | None) -> TransactionView:
    """Show a watched transaction as dropped, with what was known of it before."""
    gone = TransactionView()
    gone.CopyFrom(last)
    gone.status = TRANSACTION_STATUS_DROPPED
    gone.reason = "it is no longer in the mempool" if dropped is None else dropped.reason
    return gone


def _short(transaction: Transaction) -> bytes:
    return transaction.hash[:_SHORT_HASH_BYTES]
