"""The node's own wallet: it signs with a key of the home and submits to the node in the process."""

from __future__ import annotations

import asyncio

from google.protobuf.message import Message

from fedcoin.application.node.chain import Chain
from fedcoin.application.node.transaction_intake import TransactionIntake
from fedcoin.application.wallet.transaction_drafts import draft_transaction
from fedcoin.data.crypto.keys import KeyPair
from fedcoin.data.messages.transactions import Transaction, sign_transaction
from fedcoin.v1.node_service_pb2 import GetFeesResponse


class LocalWallet:
    """Does what `wallet.Wallet` does, without the network.

    Args:
        key: The key that signs.
        chain: The node's chain.
        pool: The node's transaction intake.
    """

    def __init__(self, key: KeyPair, chain: Chain, pool: TransactionIntake) -> None:
        parameters = chain.genesis.parameters
        self._key = key
        self._chain = chain
        self._pool = pool
        self._fees = GetFeesResponse(
            base_fee=parameters.base_fee,
            fee_per_kib=parameters.fee_per_kib,
            max_expiry_blocks=parameters.max_expiry_blocks,
        )
        # Concurrent transactions would get the same nonce.
        self._turn = asyncio.Lock()

    async def submit(self, action: Message) -> Transaction:
        """Sign an action and submit it.

        Args:
            action: The action's message, such as `CommitShapley`.

        Returns:
            The transaction.

        Raises:
            RefusalError: The ledger or the mempool refused it.
        """
        async with self._turn:
            body = draft_transaction(
                action,
                self._fees,
                chain_id=self._chain.genesis.chain_id,
                nonce=self._pool.pending_nonce(self._key.address),
                height=self._chain.height(),
            )
            transaction = sign_transaction(body, self._key)
            await self._pool.submit(transaction)
            return transaction
