"""A node's own wallet: signs with a key of the home and puts straight into the node's pool."""

from __future__ import annotations

import asyncio

from google.protobuf.message import Message

from fedcoin.application.chain import Chain
from fedcoin.application.pool import LocalPool
from fedcoin.application.wallet import EXPIRY_BLOCKS, action_field, least_fee
from fedcoin.data.keys import KeyPair
from fedcoin.data.transactions import Transaction, sign_transaction
from fedcoin.v1.node_service_pb2 import GetFeesResponse
from fedcoin.v1.transaction_pb2 import TransactionBody


class LocalWallet:
    """Like :class:`~fedcoin.application.wallet.Wallet`, without a network between."""

    def __init__(self, key: KeyPair, chain: Chain, pool: LocalPool) -> None:
        parameters = chain.genesis.parameters
        self._key = key
        self._chain = chain
        self._pool = pool
        self._fees = GetFeesResponse(
            base_fee=parameters.base_fee, fee_per_kib=parameters.fee_per_kib
        )
        self._expiry_blocks = min(EXPIRY_BLOCKS, parameters.max_expiry_blocks)
        # Two transactions at a time would be given the same nonce.
        self._turn = asyncio.Lock()

    async def submit(self, action: Message) -> Transaction:
        """Signs an action and hands it to the pool. Raises Refusal when it is refused."""
        async with self._turn:
            body = TransactionBody(
                chain_id=self._chain.genesis.chain_id,
                nonce=self._pool.pending_nonce(self._key.address),
                expiry_height=self._chain.height() + self._expiry_blocks,
            )
            getattr(body, action_field(action)).CopyFrom(action)
            body.fee = least_fee(body, self._fees)
            return await self._pool.submit(sign_transaction(body, self._key).raw)
