"""A node's own wallet: signs with a key of the home and puts straight into the node's pool."""

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
    """Like :class:`~fedcoin.application.wallet.wallet.Wallet`, without a network between."""

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
        # Two transactions at a time would be given the same nonce.
        self._turn = asyncio.Lock()

    async def submit(self, action: Message) -> Transaction:
        """Signs an action and hands it to the pool. Raises Refusal when it is refused."""
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
