"""Sign an action and submit it to a node: the one way in which this program does so.

The height, nonce and fees that a transaction needs come from a node, and the transaction goes
there; the network that it is signed for does not. The node is another process (`wallet.Wallet`) or
this one (`node.local_access`).
"""

from __future__ import annotations

import asyncio
import random
from dataclasses import dataclass
from typing import Final, Protocol

from google.protobuf.message import Message

from fedcoin.application.errors import ApplicationCode
from fedcoin.application.wallet.transaction_drafts import draft_transaction
from fedcoin.contract.errors import LedgerCode
from fedcoin.data.crypto.addresses import format_address
from fedcoin.data.crypto.keys import KeyPair, SigningKey
from fedcoin.data.errors import RefusalError
from fedcoin.data.messages.chain_identity import ChainIdentity
from fedcoin.data.messages.transactions import Transaction, sign_transaction
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


@dataclass(frozen=True, slots=True)
class SigningTerms:
    """The chain's and the sender's data that a transaction needs before it can be signed."""

    # The height of the latest block.
    height: int
    # The nonce of the sender's next transaction, after those in the mempool.
    nonce: int
    # The network's fees, in sap, and its limit on expiry heights.
    fees: GetFeesResponse


class NodeAccess(Protocol):
    """A node that accepts transactions."""

    async def get_signing_terms(self, address: bytes) -> SigningTerms:
        """Read the height, nonce and fees that an address' next transaction needs.

        Args:
            address: The sender's address, 20 bytes.

        Returns:
            The terms at the node's latest block, with the nonce after those of its mempool.

        Raises:
            RpcError: The node cannot be reached.
        """
        ...

    async def submit(self, transaction: Transaction) -> None:
        """Put a transaction into the node's mempool; return when its audit has passed.

        Args:
            transaction: The decoded and verified transaction.

        Raises:
            RpcError: A node in another process refused it, or cannot be reached.
            RefusalError: The node in this process refused it.
        """
        ...


class TransactionSubmitter:
    """Signs with one key and submits to one node, on one event loop."""

    def __init__(self, node: NodeAccess, key: SigningKey, chain: ChainIdentity) -> None:
        """Use a key with a node.

        Args:
            node: The node that the transactions are submitted to.
            key: The key that signs.
            chain: The network to sign for. It must not come from the node, which could otherwise
                have transactions signed for another network.
        """
        self._access = node
        self._key = key
        self._chain = chain
        # Two transactions that are prepared at the same time would get the same nonce.
        self._lock = asyncio.Lock()

    @property
    def address(self) -> bytes:
        """The address of the key's account, 20 bytes."""
        return self._key.address

    @property
    def chain(self) -> ChainIdentity:
        """The network that transactions are signed for."""
        return self._chain

    async def sign(
        self, action: Message, *, fee: int | None = None, replaces: TransactionView | None = None
    ) -> Transaction:
        """Sign an action as the key's next transaction; submit nothing.

        Args:
            action: The action, such as a Transfer or a Bond.
            fee: The fee in sap; None takes the lowest that is accepted.
            replaces: A pending transaction of this key, whose nonce the new one takes.

        Returns:
            A signed transaction that expires `EXPIRY_BLOCKS` after the latest block at most.

        Raises:
            RpcError: The node cannot be reached.
            RefusalError: NOT_REPLACEABLE when `replaces` is no longer pending or is another key's.
        """
        terms = await self._access.get_signing_terms(self._key.address)
        body = draft_transaction(
            action,
            terms.fees,
            chain_id=self._chain.chain_id,
            nonce=terms.nonce if replaces is None else self._nonce_of(replaces),
            height=terms.height,
            replaced_fee=None if replaces is None else replaces.fee,
        )
        if fee is not None:
            body.fee = fee
        if isinstance(self._key, KeyPair):
            return sign_transaction(body, self._key, self._chain.genesis_hash)
        # Another process signs, and may be slow.
        return await asyncio.to_thread(sign_transaction, body, self._key, self._chain.genesis_hash)

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
            RpcError: A node in another process refused it, with the ledger's code, or the call
                failed.
            RefusalError: The node in this process refused it; NOT_REPLACEABLE when `replaces` is
                no longer pending or is another key's.
        """
        async with self._lock:
            for attempt in range(1, _MAX_ATTEMPTS + 1):
                transaction = await self.sign(action, fee=fee, replaces=replaces)
                try:
                    await self._access.submit(transaction)
                except (RpcError, RefusalError) as error:
                    is_stale = _code_of(error) in STALE_NONCE_CODES and replaces is None
                    if not is_stale or attempt == _MAX_ATTEMPTS:
                        raise
                else:
                    return transaction
                # Two programs that use the same key must not try again in step.
                await asyncio.sleep(random.uniform(0.0, _RETRY_S) * attempt)
        raise AssertionError("unreachable")

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


def _code_of(error: RpcError | RefusalError) -> str:
    return error.code if isinstance(error, RpcError) else error.code.name
