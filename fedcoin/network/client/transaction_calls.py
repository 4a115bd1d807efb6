"""Calls of TransactionService: submitting and following transactions."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from functools import cached_property
from typing import TYPE_CHECKING

from grpc import StatusCode

from fedcoin.network.background_tasks import run_within
from fedcoin.network.client.chain_calls import PATIENCE_S, Hash, hash_text
from fedcoin.network.client.grpc_client import GrpcClient, resume_stream
from fedcoin.network.client.rpc_error import RpcError
from fedcoin.network.errors import NetworkCode
from fedcoin.v1 import transaction_service_pb2 as pb
from fedcoin.v1.transaction_service_pb2_grpc import TransactionServiceStub
from fedcoin.v1.views_pb2 import TRANSACTION_STATUS_FINAL, TransactionView

if TYPE_CHECKING:
    from fedcoin.v1.transaction_service_pb2_grpc import TransactionServiceAsyncStub

AUDIT_S = 60.0
"""The deadline of a submission, in seconds: a node may recompute a task's leaves first."""


class TransactionCalls(GrpcClient):
    """The part of `NodeClient` that submits and follows transactions."""

    @cached_property
    def _transactions(self) -> TransactionServiceAsyncStub:
        return TransactionServiceStub(self.channel)

    async def submit_transaction(self, raw: bytes) -> str:
        """Submit a signed transaction. A repeated call changes nothing.

        Args:
            raw: A serialised SignedTransaction.

        Returns:
            The transaction's hash, 64 hex digits.

        Raises:
            RpcError: MALFORMED when `raw` is no SignedTransaction; the refusing layer's code when
                the node does not accept it; or the call failed.
        """
        request = pb.SubmitTransactionRequest(transaction=raw)
        method = self._transactions.SubmitTransaction
        return (await self.call(method, request, timeout=AUDIT_S)).hash

    async def submit_transactions(self, raws: Sequence[bytes]) -> list[pb.SubmissionResult]:
        """Submit many signed transactions in one call. A repeated call changes nothing.

        Args:
            raws: Serialised SignedTransactions, at most 256 with 1 MiB; those of one sender by
                rising nonces.

        Returns:
            One result for each: its hash, and why the node refused it if it did.

        Raises:
            RpcError: TOO_LARGE when there are too many; or the call failed.
        """
        request = pb.SubmitTransactionsRequest(transactions=raws)
        method = self._transactions.SubmitTransactions
        return list((await self.call(method, request, timeout=AUDIT_S)).results)

    async def get_transaction(self, hash: Hash) -> TransactionView:
        """Ask for one transaction, pending or in a block.

        Args:
            hash: The transaction's hash, or at least the first 8 hex digits of it.

        Returns:
            The transaction, its status, and its block's height when it is final.

        Raises:
            RpcError: TRANSACTION_NOT_FOUND when it is neither in the mempool nor in the chain;
                MALFORMED when several begin with the digits; or the call failed.
        """
        request = pb.GetTransactionRequest(hash=hash_text(hash))
        return (await self.call(self._transactions.GetTransaction, request)).transaction

    async def list_pending_transactions(self, limit: int = 500) -> list[TransactionView]:
        """List the transactions that wait for a block, in the order of their arrival.

        Args:
            limit: How many to read at most.

        Returns:
            At most `limit` transactions, amounts in sap.

        Raises:
            RpcError: The call failed.
        """
        request = pb.ListPendingTransactionsRequest()
        method = self._transactions.ListPendingTransactions
        return await self.list_all(method, request, "transactions", limit)

    async def watch_transaction(
        self, hash: Hash, *, patience: float = PATIENCE_S
    ) -> AsyncGenerator[TransactionView, None]:
        """Watch a transaction until it is final or dropped.

        Args:
            hash: The transaction's hash.
            patience: For how many seconds without a reply a lost stream is opened again.

        Yields:
            The transaction as it is now, then after each change.

        Raises:
            RpcError: TRANSACTION_NOT_FOUND when it is neither in the mempool nor in the chain, or
                the node could not be reached for `patience` seconds.
        """
        request = pb.WatchTransactionRequest(hash=hash_text(hash))

        def open_stream() -> AsyncGenerator[pb.WatchTransactionResponse, None]:
            return self.stream(self._transactions.WatchTransaction, request)

        async for reply in resume_stream(open_stream, patience):
            yield reply.transaction

    async def wait_until_final(self, hash: Hash, timeout: float = 60.0) -> TransactionView:
        """Wait until a transaction is in a final block, across lost connections.

        Args:
            hash: The transaction's hash.
            timeout: How long to wait, in seconds.

        Returns:
            The transaction, with its block.

        Raises:
            RpcError: DROPPED, with the reason, when it can no longer become final; TIMED_OUT after
                `timeout` seconds; TRANSACTION_NOT_FOUND when it is neither in the mempool nor in
                the chain; or the node cannot be reached any more.
        """
        try:
            last = await run_within(timeout, self._last_view(hash, timeout))
        except asyncio.TimeoutError:
            message = f"transaction {hash_text(hash)} is not final after {timeout:g} s"
            raise RpcError(
                StatusCode.DEADLINE_EXCEEDED,
                NetworkCode.TIMED_OUT.name,
                message,
                target=self.target,
            ) from None
        if last.status != TRANSACTION_STATUS_FINAL:
            message = f"transaction {last.hash} was dropped: {last.reason}"
            raise RpcError(
                StatusCode.FAILED_PRECONDITION,
                NetworkCode.DROPPED.name,
                message,
                target=self.target,
            )
        return last

    async def _last_view(self, hash: Hash, patience: float) -> TransactionView:
        last = TransactionView(hash=hash_text(hash))
        async for view in self.watch_transaction(hash, patience=patience):
            last = view
        return last
