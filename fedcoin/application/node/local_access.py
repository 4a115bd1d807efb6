"""The node as a wallet in the same process sees it: without a network between them."""

from __future__ import annotations

from fedcoin.application.node.chain import Chain
from fedcoin.application.node.transaction_intake import TransactionIntake
from fedcoin.application.wallet.transaction_submitter import SigningTerms
from fedcoin.data.messages.transactions import Transaction
from fedcoin.v1.node_service_pb2 import GetFeesResponse


class LocalAccess:
    """Lets a wallet submit transactions to the node of its own process: a `NodeAccess`.

    Args:
        chain: The node's chain.
        pool: The node's transaction intake.
    """

    def __init__(self, chain: Chain, pool: TransactionIntake) -> None:
        self._chain = chain
        self._pool = pool

    async def get_signing_terms(self, address: bytes) -> SigningTerms:
        """Implement `NodeAccess.get_signing_terms`: read the address' nonce and the fee limits."""
        chain = self._chain
        parameters, rates = chain.genesis.parameters, self._pool.fee_rates()
        fees = GetFeesResponse(
            base_fee=parameters.base_fee,
            fee_per_kib=parameters.fee_per_kib,
            max_expiry_blocks=parameters.max_expiry_blocks,
            mempool_fee_rate=rates.mempool,
            next_block_fee_rate=rates.next_block,
        )
        nonce = self._pool.pending_nonce(address)
        return SigningTerms(chain.height(), nonce, fees)

    async def submit(self, transaction: Transaction) -> None:
        """Implement `NodeAccess.submit`: offer a transaction to the node; wait for its audit."""
        await self._pool.submit(transaction)
