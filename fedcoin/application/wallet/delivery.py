"""Getting an action onto the chain exactly once, across lost connections and restarts.

A transaction is signed and kept before it is submitted. Whoever restarts hands in the very same
bytes again, which the chain takes as one. Only when they can no longer become final (another
transaction took the nonce, or they expired) is a new one signed.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from google.protobuf.message import Message

from fedcoin.application.wallet.wallet import draft
from fedcoin.data.crypto.keys import KeyPair
from fedcoin.data.messages.transactions import Transaction, decode_transaction, sign_transaction
from fedcoin.network.client.backoff import Backoff
from fedcoin.network.client.node_client import NodeClient
from fedcoin.network.client.rpc_error import RpcError
from fedcoin.v1.views_pb2 import TRANSACTION_STATUS_FINAL

T = TypeVar("T")

Keep = Callable[[bytes], Awaitable[None]]
"""Keeps a serialised transaction (or nothing) where a restart finds it."""

STALE = frozenset(
    {
        "NONCE_TOO_LOW",
        "NONCE_TOO_HIGH",
        "REPLACEMENT_UNDERPRICED",
        "EXPIRED",
        "EXPIRY_TOO_FAR",
        "DROPPED",
    }
)
"""What a node says of a transaction that came too late; a new one may be taken."""

ATTEMPTS = 8
WAIT_SECONDS = 30.0
_FIRST_PAUSE_S, _MAX_PAUSE_S = 0.2, 5.0


class Delivery:
    """Delivers one key's actions through one node. One at a time."""

    def __init__(
        self, node: NodeClient, key: KeyPair, chain_id: str, report: Callable[[str], None]
    ) -> None:
        self._node = node
        self._key = key
        self._chain_id = chain_id
        self._report = report

    async def deliver(self, action: Message, pending: bytes, keep: Keep) -> Transaction:
        """The transaction that carries ``action``, once it is in a final block.

        ``pending`` is what ``keep`` was given last for this action, before a restart, or empty.
        Waits as long as the node cannot be reached; raises RpcFailure when it refuses the action
        as such, after ``keep`` was given nothing.
        """
        for attempt in range(1, ATTEMPTS + 1):
            if not pending:
                transaction = await self.patiently(lambda: self._sign(action))
                pending = transaction.raw
                await keep(pending)
            transaction = decode_transaction(pending, self._chain_id)
            try:
                await self._until_final(transaction)
            except RpcError as failure:
                if await self._is_final(transaction):
                    return transaction
                pending = b""
                await keep(pending)
                if failure.code not in STALE or attempt == ATTEMPTS:
                    raise
            else:
                return transaction
        raise AssertionError("unreachable")

    async def patiently(self, call: Callable[[], Awaitable[T]]) -> T:
        """Call until the node answers; what it refuses is raised."""
        backoff = Backoff(_FIRST_PAUSE_S, _MAX_PAUSE_S)
        while True:
            try:
                return await call()
            except RpcError as failure:
                if not failure.is_transient:
                    raise
                self._report(f"waiting for the node: {failure}")
            await asyncio.sleep(backoff.next_pause())

    async def _sign(self, action: Message) -> Transaction:
        status, fees, account = await asyncio.gather(
            self._node.get_status(),
            self._node.get_fees(),
            self._node.get_account(self._key.address),
        )
        body = draft(
            action, fees, chain_id=self._chain_id, nonce=account.nonce, height=status.height
        )
        return sign_transaction(body, self._key)

    async def _until_final(self, transaction: Transaction) -> None:
        while True:
            await self.patiently(lambda: self._node.submit_transaction(transaction.raw))
            try:
                await self._node.wait_until_final(transaction.hash, WAIT_SECONDS)
            except RpcError as failure:
                if not failure.is_transient and failure.code != "TRANSACTION_NOT_FOUND":
                    raise
                self._report(f"transaction {transaction.hash.hex()[:16]} is not final yet")
            else:
                return

    async def _is_final(self, transaction: Transaction) -> bool:
        """Did it become final after all, before it was found too late?"""
        try:
            view = await self.patiently(lambda: self._node.get_transaction(transaction.hash))
        except RpcError:
            return False
        return view.status == TRANSACTION_STATUS_FINAL
