"""A wallet: a key, and a node that accepts its transactions.

The wallet fills in nonce, fee and expiry, signs, submits, and waits. It holds no coins and no
state: those are on the chain.
"""

from __future__ import annotations

import asyncio
import random
from typing import Final

from google.protobuf.message import Message

from fedcoin.application.errors import ApplicationCode
from fedcoin.application.wallet.transaction_drafts import draft_transaction
from fedcoin.contract.errors import LedgerCode
from fedcoin.data.crypto.addresses import format_address
from fedcoin.data.crypto.keys import KeyPair
from fedcoin.data.errors import RefusalError
from fedcoin.data.messages.transactions import Transaction, sign_transaction
from fedcoin.network.client.node_client import NodeClient
from fedcoin.network.client.rpc_error import RpcError
from fedcoin.v1.node_service_pb2 import GetFeesResponse
from fedcoin.v1.views_pb2 import TRANSACTION_STATUS_PENDING, TransactionView

STALE_NONCE_CODES: Final = frozenset(
    {
        LedgerCode.NONCE_TOO_LOW.name,
        LedgerCode.NONCE_TOO_HIGH.name,
        LedgerCode.REPLACEMENT_UNDERPRICED.name,
    }
)
"""Codes with which a node refuses a transaction when another one of the same key came first, or
when one before it was dropped."""

_MAX_ATTEMPTS: Final = 8
_RETRY_S: Final = 0.05


class Wallet:
    """Signs with one key and submits to one node, on one event loop."""

    def __init__(self, node: NodeClient, key: KeyPair, chain_id: str = "") -> None:
        """Use a key with a node.

        Args:
            node: The node that the transactions are submitted to.
            key: The key that signs.
            chain_id: The chain to sign for; empty asks the node. Give it where it is known, so that
                the node cannot have transactions signed for another chain.
        """
        self._node = node
        self._key = key
        self._chain_id = chain_id
        self._fees: GetFeesResponse | None = None
        # Two transactions that are prepared at the same time would get the same nonce.
        self._lock = asyncio.Lock()

    @property
    def address(self) -> bytes:
        """The address of the key's account, 20 bytes."""
        return self._key.address

    @property
    def key(self) -> KeyPair:
        """The key that signs."""
        return self._key

    async def submit(
        self, action: Message, *, fee: int | None = None, replaces: TransactionView | None = None
    ) -> Transaction:
        """Sign an action and submit it to the node.

        Args:
            action: The action, such as a Transfer or a Bond.
            fee: The fee in sap; None takes the lowest that is accepted.
            replaces: A pending transaction of this key, whose nonce the new one takes.

        Returns:
            The transaction, which is in the node's mempool.

        Raises:
            RpcError: The node refused it, with the ledger's code, or the call failed.
            RefusalError: NOT_REPLACEABLE when `replaces` is no longer pending or is another key's.
        """
        async with self._lock:
            for attempt in range(1, _MAX_ATTEMPTS + 1):
                transaction = await self._prepare(action, fee, replaces)
                try:
                    await self._node.submit_transaction(transaction.raw)
                except RpcError as error:
                    is_stale = error.code in STALE_NONCE_CODES and replaces is None
                    if not is_stale or attempt == _MAX_ATTEMPTS:
                        raise
                else:
                    return transaction
                # Two programs that use the same key must not try again in step.
                await asyncio.sleep(random.uniform(0.0, _RETRY_S) * attempt)
        raise AssertionError("unreachable")

    async def wait_until_final(
        self, transaction: Transaction, timeout: float = 60.0
    ) -> TransactionView:
        """Wait until a transaction is in a final block.

        Args:
            transaction: A transaction that was submitted.
            timeout: How long to wait, in seconds.

        Returns:
            The transaction, with its block.

        Raises:
            RpcError: DROPPED, with the reason; TIMED_OUT; or the node stayed lost.
        """
        return await self._node.wait_until_final(transaction.hash, timeout)

    async def execute(self, action: Message, timeout: float = 60.0) -> TransactionView:
        """Submit an action and wait until it is in a final block.

        Args:
            action: The action, such as a Transfer or a Bond.
            timeout: How long to wait, in seconds.

        Returns:
            The transaction, with its block.

        Raises:
            RpcError: As `submit` and `wait_until_final` do.
        """
        return await self.wait_until_final(await self.submit(action), timeout)

    async def _prepare(
        self, action: Message, fee: int | None, replaces: TransactionView | None
    ) -> Transaction:
        if self._fees is None:
            self._fees = await self._node.get_fees()
        status, account = await asyncio.gather(
            self._node.get_status(), self._node.get_account(self._key.address)
        )
        self._chain_id = self._chain_id or status.chain_id
        body = draft_transaction(
            action,
            self._fees,
            chain_id=self._chain_id,
            nonce=account.nonce if replaces is None else self._nonce_of(replaces),
            height=status.height,
            replaced_fee=None if replaces is None else replaces.fee,
        )
        if fee is not None:
            body.fee = fee
        return sign_transaction(body, self._key)

    def _nonce_of(self, replaced: TransactionView) -> int:
        is_pending = replaced.status == TRANSACTION_STATUS_PENDING
        if is_pending and replaced.sender == format_address(self.address):
            return replaced.nonce
        problem = f"its sender is {replaced.sender}" if is_pending else "it is no longer pending"
        raise RefusalError(
            ApplicationCode.NOT_REPLACEABLE,
            f"transaction {replaced.hash} cannot be replaced by {format_address(self.address)}:"
            f" {problem}",
            field="replace",
        )
