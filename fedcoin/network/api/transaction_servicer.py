"""TransactionService: submit transactions, look them up, follow them and list the mempool."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from typing import Final

from fedcoin.contract import queries
from fedcoin.contract.views import transaction_view
from fedcoin.data.errors import RefusalError
from fedcoin.data.messages.transactions import Transaction
from fedcoin.network.api import paging
from fedcoin.network.api.chain_watching import watch_changes
from fedcoin.network.api.request_fields import choose_page_size, parse_hash
from fedcoin.network.errors import NetworkCode
from fedcoin.network.interceptors import CallContext
from fedcoin.network.ports import ChainPort, TransactionPort
from fedcoin.v1 import transaction_service_pb2 as pb
from fedcoin.v1.transaction_service_pb2_grpc import TransactionServiceServicer
from fedcoin.v1.views_pb2 import (
    TRANSACTION_STATUS_DROPPED,
    TRANSACTION_STATUS_PENDING,
    TransactionView,
)

PENDING_PAGE: Final = 100
MAX_PENDING_PAGE: Final = 500

# A block wakes every watcher; what a pool drops between blocks is noticed this late.
_LOOK_EVERY_SECONDS: Final = 1.0

# Of a page of the pool, how many of its last are remembered: those that are gone when the
# next page is asked for are passed over.
_REMEMBERED: Final = 8
_SHORT_HASH: Final = 8

_SCOPE: Final = "pending"


class TransactionServicer(TransactionServiceServicer):
    """Submitting and following transactions; the comments in the .proto file are the contract."""

    def __init__(self, chain: ChainPort, pool: TransactionPort) -> None:
        self._chain = chain
        self._pool = pool

    async def SubmitTransaction(
        self, request: pb.SubmitTransactionRequest, context: CallContext
    ) -> pb.SubmitTransactionResponse:
        """Take one into the pool."""
        if not request.transaction:
            raise RefusalError(
                NetworkCode.MALFORMED,
                "transaction is empty; it must be a serialised SignedTransaction",
                field="transaction",
            )
        transaction = self._pool.decode(request.transaction)
        await self._pool.submit(transaction)
        return pb.SubmitTransactionResponse(hash=transaction.hash.hex())

    async def GetTransaction(
        self, request: pb.GetTransactionRequest, context: CallContext
    ) -> pb.GetTransactionResponse:
        """One transaction as it stands."""
        hash = parse_hash(request.hash, "hash")
        return pb.GetTransactionResponse(transaction=await self._found(hash))

    async def WatchTransaction(
        self, request: pb.WatchTransactionRequest, context: CallContext
    ) -> AsyncGenerator[pb.WatchTransactionResponse, None]:
        """Its state at once and on each change, until it is final or dropped."""
        hash = parse_hash(request.hash, "hash")
        last: TransactionView | None = None
        async for _ in watch_changes(self._chain, _LOOK_EVERY_SECONDS):
            view = await (self._found(hash) if last is None else self._later(hash, last))
            if view != last:
                yield pb.WatchTransactionResponse(transaction=view)
            if view.status != TRANSACTION_STATUS_PENDING:
                return
            last = view

    async def ListPendingTransactions(
        self, request: pb.ListPendingTransactionsRequest, context: CallContext
    ) -> pb.ListPendingTransactionsResponse:
        """A page of the pool."""
        size = choose_page_size(request.page_size, usual=PENDING_PAGE, most=MAX_PENDING_PAGE)
        position = paging.decode_token(_SCOPE, request.page_token)
        waiting = self._pool.pending()
        if position is not None:
            recent = [position[i : i + _SHORT_HASH] for i in range(0, len(position), _SHORT_HASH)]
            waiting = waiting[paging.find_next_index(waiting, recent, _short) :]
        views, last = await asyncio.to_thread(paging.fill_page, waiting, size, _pending_view)
        token = ""
        if last is not None:
            shown = waiting[: len(views)][-_REMEMBERED:]
            token = paging.encode_token(_SCOPE, b"".join(_short(one) for one in shown))
        return pb.ListPendingTransactionsResponse(transactions=views, next_page_token=token)

    async def _found(self, hash: bytes) -> TransactionView:
        view = await self._view(hash)
        if view is None:
            first = self._chain.store.base_height() + 1
            since = f", of which this node keeps the blocks from {first} on" if first > 1 else ""
            raise RefusalError(
                NetworkCode.TRANSACTION_NOT_FOUND,
                f"transaction {hash.hex()} is neither in the pool nor in the chain{since}",
                field="hash",
            )
        return view

    async def _later(self, hash: bytes, last: TransactionView) -> TransactionView:
        view = await self._view(hash)
        if view is None or view.status == TRANSACTION_STATUS_DROPPED:
            return _gone(last, view)
        return view

    async def _view(self, hash: bytes) -> TransactionView | None:
        # In this order: what moves from the pool to the chain meanwhile is still found.
        waiting = self._pool.get(hash)
        final = await asyncio.to_thread(queries.get_transaction, self._chain.store, hash)
        if final is not None:
            return final
        if waiting is not None:
            return _pending_view(waiting)
        reason = self._pool.dropped_reason(hash)
        if reason is None:
            return None
        return TransactionView(hash=hash.hex(), status=TRANSACTION_STATUS_DROPPED, reason=reason)


def _pending_view(transaction: Transaction) -> TransactionView:
    return transaction_view(transaction, TRANSACTION_STATUS_PENDING)


def _gone(last: TransactionView, dropped: TransactionView | None) -> TransactionView:
    """A watched transaction that is dropped, with what was known of it before."""
    gone = TransactionView()
    gone.CopyFrom(last)
    gone.status = TRANSACTION_STATUS_DROPPED
    gone.reason = "it is no longer in the pool" if dropped is None else dropped.reason
    return gone


def _short(transaction: Transaction) -> bytes:
    return transaction.hash[:_SHORT_HASH]
