"""Transfers of coins, for tests in which the kind of transaction does not matter."""

from __future__ import annotations

from fedcoin.data.crypto.keys import KeyPair
from fedcoin.data.messages.transactions import Transaction, sign_transaction
from fedcoin.v1.transaction_pb2 import TransactionBody, Transfer, TransferOutput
from tests.support.genesis import CHAIN_ID, GENESIS_HASH
from tests.support.keys import ALICE, BOB


def transfer_to(*outputs: tuple[bytes, int]) -> Transfer:
    """Make the action that pays each of these addresses an amount in sap."""
    return Transfer(outputs=[TransferOutput(recipient=to, amount=n) for to, n in outputs])


def sign_transfer(
    nonce: int,
    amount: int = 1_000,
    *,
    sender: KeyPair = ALICE,
    recipient: KeyPair = BOB,
    chain_id: str = CHAIN_ID,
    genesis_hash: bytes = GENESIS_HASH,
    fee: int = 100_000,
) -> Transaction:
    """Sign a transfer; amount and fee in sap. It expires at height 500."""
    body = TransactionBody(
        chain_id=chain_id,
        nonce=nonce,
        fee=fee,
        expiry_height=500,
        transfer=transfer_to((recipient.address, amount)),
    )
    return sign_transaction(body, sender, genesis_hash)
