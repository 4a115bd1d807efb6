"""Getting an action onto the chain exactly once, across lost connections and restarts.

A transaction is signed and saved before it is submitted. After a restart the same bytes are
submitted again, which the chain accepts only once. A new transaction is signed only when those
bytes can no longer become final: another transaction took the nonce, or they have expired.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

from google.protobuf.message import Message

from fedcoin.application.wallet.reader_prover import make_prover
from fedcoin.application.wallet.transaction_submitter import STALE_NONCE_CODES
from fedcoin.application.wallet.wallet import Wallet
from fedcoin.contract.errors import LedgerCode
from fedcoin.data.crypto.keys import KeyPair
from fedcoin.data.messages.chain_identity import ChainIdentity
from fedcoin.data.messages.transactions import Transaction, decode_transaction
from fedcoin.network.client.artifact_client import Prove
from fedcoin.network.client.backoff import Backoff
from fedcoin.network.client.node_client import NodeClient
from fedcoin.network.client.rpc_error import RpcError
from fedcoin.network.errors import NetworkCode
from fedcoin.v1.views_pb2 import TRANSACTION_STATUS_FINAL

T = TypeVar("T")

SavePending = Callable[[bytes], Awaitable[None]]
"""Saves a serialised transaction where a restart finds it; empty bytes mean that none waits."""

_STALE_CODES: Final = STALE_NONCE_CODES | {
    LedgerCode.EXPIRED.name,
    LedgerCode.EXPIRY_TOO_FAR.name,
    NetworkCode.DROPPED.name,
}
"""Codes after which a newly signed transaction may be accepted."""

_MAX_ATTEMPTS: Final = 8
_WAIT_S: Final = 30.0
_FIRST_PAUSE_S, _MAX_PAUSE_S = 0.2, 5.0


class Delivery:
    """Delivers one key's actions through one node, one at a time."""

    def __init__(
        self, node: NodeClient, key: KeyPair, chain: ChainIdentity, report: Callable[[str], None]
    ) -> None:
        """Use a key with a node.

        Args:
            node: The node that the transactions are submitted to.
            key: The key that signs.
            chain: The network to sign for.
            report: Gets a line when the delivery has to wait.
        """
        self.node = node
        """The node."""
        self._wallet = Wallet(node, key, chain)
        self._key = key
        self.chain = chain
        """The network to sign for."""
        self.report = report
        """Gets a line when somebody has to wait."""

    async def deliver(self, action: Message, pending: bytes, save: SavePending) -> Transaction:
        """Get an action onto the chain, waiting as long as the node cannot be reached.

        Args:
            action: The action, such as an OpenTask.
            pending: What `save` was last given for this action before a restart; else empty.
            save: Saves the pending transaction.

        Returns:
            The transaction, which is in a final block.

        Raises:
            RpcError: The node refuses the action itself; `save` was given empty bytes before.
        """
        transaction = decode_transaction(pending, self.chain) if pending else None
        for attempt in range(1, _MAX_ATTEMPTS + 1):
            if transaction is None:
                transaction = await self.retry_while_away(lambda: self._wallet.sign(action))
                await save(transaction.raw)
            try:
                await self._submit_until_final(transaction)
            except RpcError as error:
                if await self._is_final(transaction):
                    return transaction
                transaction = None
                await save(b"")
                if error.code not in _STALE_CODES or attempt == _MAX_ATTEMPTS:
                    raise
            else:
                return transaction
        raise AssertionError("unreachable")

    async def make_prover(self, campaign_id: bytes) -> Prove:
        """Make what proves to the node that this key acts for a private campaign.

        Args:
            campaign_id: The campaign's id, 32 bytes.

        Returns:
            A function that gives a valid proof whenever it is called.

        Raises:
            RpcError: The node refuses to tell its key.
        """
        return await self.retry_while_away(
            lambda: make_prover(self.node, self._key, self.chain.genesis_hash, campaign_id)
        )

    async def retry_while_away(self, call: Callable[[], Awaitable[T]]) -> T:
        """Call the node, and repeat the call while the node is away, slow or full.

        It repeats without a limit, with growing pauses; cancel it to end the wait.

        Args:
            call: Makes the call.

        Returns:
            The result of the call.

        Raises:
            RpcError: The node refused the call, and not only because it is away, slow or full.
        """
        backoff = Backoff(_FIRST_PAUSE_S, _MAX_PAUSE_S)
        while True:
            try:
                return await call()
            except RpcError as error:
                if not error.is_transient:
                    raise
                self.report(f"waiting for the node: {error}")
            await asyncio.sleep(backoff.next_pause())

    async def _submit_until_final(self, transaction: Transaction) -> None:
        while True:
            await self.retry_while_away(lambda: self.node.submit_transaction(transaction.raw))
            try:
                await self.node.wait_until_final(transaction.hash, _WAIT_S)
            except RpcError as error:
                is_unknown = error.code == NetworkCode.TRANSACTION_NOT_FOUND.name
                if not error.is_transient and not is_unknown:
                    raise
                self.report(f"transaction {transaction.hash.hex()[:16]} is not final yet")
            else:
                return

    async def _is_final(self, transaction: Transaction) -> bool:
        """Tell whether a transaction became final although submitting it again was refused."""
        try:
            view = await self.retry_while_away(lambda: self.node.get_transaction(transaction.hash))
        except RpcError:
            return False
        return view.status == TRANSACTION_STATUS_FINAL
