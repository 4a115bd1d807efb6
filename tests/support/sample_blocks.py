"""Transactions, receipts and blocks that refer to each other correctly but are not executed.

They are enough for the data layer, which encodes, hashes and stores blocks without knowing what
their transactions do.
"""

from __future__ import annotations

from collections.abc import Sequence

from fedcoin.data.crypto.keys import KeyPair
from fedcoin.data.messages.blocks import Block, build_block
from fedcoin.data.messages.genesis import Genesis
from fedcoin.data.messages.receipts import encode_receipt, receipts_root
from fedcoin.data.messages.transactions import Transaction, sign_transaction
from fedcoin.data.storage.chain_store import ChainStore
from fedcoin.v1 import block_pb2
from fedcoin.v1.transaction_pb2 import TransactionBody
from tests.support.genesis import CHAIN_ID, GENESIS_HASH, make_genesis
from tests.support.keys import ALICE, BOB, CAROL


def genesis_of(chain_id: str = CHAIN_ID) -> Genesis:
    """Make a genesis where alice and bob have coins, and alice and carol are validators."""
    return make_genesis(
        dict.fromkeys((ALICE, CAROL), 10**9), dict.fromkeys((ALICE, BOB), 10**12), chain_id=chain_id
    )


def sign_body(body: TransactionBody, sender: KeyPair = ALICE) -> Transaction:
    """Fill in chain, fee and expiry, and sign."""
    body.chain_id, body.fee, body.expiry_height = CHAIN_ID, 1_000, 1_000
    return sign_transaction(body, sender, GENESIS_HASH)


def make_receipt(transaction: Transaction) -> bytes:
    """Encode the receipt of a transaction that was applied."""
    return encode_receipt(
        block_pb2.Receipt(
            transaction=block_pb2.TransactionReceipt(
                hash=transaction.hash, sender=transaction.sender, fee=transaction.body.fee
            )
        )
    )


def make_header(
    height: int, parent: bytes, receipts: Sequence[bytes] = ()
) -> block_pb2.BlockHeader:
    """Make a header that alice proposes; the hashes of the state are zero."""
    return block_pb2.BlockHeader(
        chain_id=CHAIN_ID,
        height=height,
        time_ms=1_700_000_000_000 + height,
        parent_hash=parent,
        receipts_root=receipts_root(receipts),
        app_hash=bytes(32),
        next_validators_hash=bytes(32),
        proposer=ALICE.address,
    )


def next_block(
    store: ChainStore, transactions: Sequence[Transaction] = (), receipts: Sequence[bytes] = ()
) -> Block:
    """Build the block that follows the latest block of a store."""
    header = make_header(store.height() + 1, store.tip_hash(), receipts)
    return build_block(header, b"", [transaction.raw for transaction in transactions])
