"""A wallet: a key, and a node that accepts its transactions.

The wallet fills in nonce, fee and expiry, signs, submits, and waits. It holds no coins and no
state: those are on the chain.
"""

from __future__ import annotations

import asyncio

from google.protobuf.message import Message

from fedcoin.application.wallet.transaction_submitter import SigningTerms, TransactionSubmitter
from fedcoin.data.crypto.keys import KeyPair
from fedcoin.data.messages.chain_identity import ChainIdentity
from fedcoin.data.messages.transactions import Transaction
from fedcoin.network.client.node_client import NodeClient
from fedcoin.v1.views_pb2 import TransactionView


class Wallet(TransactionSubmitter):
    """Signs with one key and submits to one node in another process, on one event loop."""

    def __init__(self, node: NodeClient, key: KeyPair, chain: ChainIdentity) -> None:
        """Use a key with a node.

        Args:
            node: The node that the transactions are submitted to.
            key: The key that signs.
            chain: The network to sign for. It must not come from the node, which could otherwise
                have transactions signed for another network.
        """
        super().__init__(_RemoteAccess(node), key, chain)
        self.key = key
        """The key that signs."""
        self._node = node

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
            RpcError: DROPPED, with the reason, when it can no longer become final; TIMED_OUT after
                `timeout` seconds; or the node cannot be reached.
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
            RpcError: The ledger's code when the node refused the transaction; DROPPED when it can
                no longer become final; TIMED_OUT after `timeout` seconds; or the node cannot be
                reached.
        """
        return await self.wait_until_final(await self.submit(action), timeout)


class _RemoteAccess:
    """Implements `NodeAccess` for a node in another process."""

    def __init__(self, node: NodeClient) -> None:
        self._node = node

    async def get_signing_terms(self, address: bytes) -> SigningTerms:
        status, account, fees = await asyncio.gather(
            self._node.get_status(), self._node.get_account(address), self._node.get_fees()
        )
        return SigningTerms(status.height, account.nonce, fees)

    async def submit(self, transaction: Transaction) -> None:
        await self._node.submit_transaction(transaction.raw)
