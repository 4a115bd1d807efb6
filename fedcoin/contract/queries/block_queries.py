"""Read blocks and final transactions."""

from __future__ import annotations

from fedcoin.contract.views import (
    block_view,
    transaction_view,
)
from fedcoin.data.crypto.hashing import sha256
from fedcoin.data.messages.transactions import decode_stored_transaction, stored_transaction_hash
from fedcoin.data.storage.block_index import Location
from fedcoin.data.storage.chain_store import ChainStore
from fedcoin.v1 import views_pb2
from fedcoin.v1.block_pb2 import Block, BlockHeader
from fedcoin.v1.views_pb2 import (
    BlockView,
    TransactionView,
)


def get_block(store: ChainStore, height: int) -> BlockView | None:
    """Read a block.

    Args:
        store: The node's chain.
        height: The block's height.

    Returns:
        The view, or None when the block is not stored.
    """
    stored = store.block(height)
    if stored is None:
        return None
    message = Block.FromString(stored.raw)
    return block_view(
        sha256(message.header),
        BlockHeader.FromString(message.header),
        [stored_transaction_hash(raw) for raw in message.transactions],
        stored.certificate,
    )


def get_transaction(store: ChainStore, hash: bytes) -> TransactionView | None:
    """Read a final transaction.

    Args:
        store: The node's chain.
        hash: The transaction's hash, 32 bytes.

    Returns:
        The view, or None when no stored block holds it.
    """
    location = store.index.find_transaction(hash)
    if location is None:
        return None
    return transaction_view(
        decode_stored_transaction(_transaction_at(store, location)),
        views_pb2.TRANSACTION_STATUS_FINAL,
        height=location.height,
        index=location.position,
    )


def find_reveal_transaction(
    store: ChainStore, task_id: bytes, miner: bytes
) -> tuple[bytes, int] | None:
    """Find the transaction in which a miner last revealed evidence for a task.

    Args:
        store: The node's chain.
        task_id: The task's id, 32 bytes.
        miner: The miner's address, 20 bytes.

    Returns:
        The serialised SignedTransaction and the height of its block; None when there is none.
    """
    location = store.index.find_reveal(task_id, miner)
    return None if location is None else (_transaction_at(store, location), location.height)


def _transaction_at(store: ChainStore, location: Location) -> bytes:
    stored = store.block(location.height)
    assert stored is not None, "the index points to a block that is not stored"
    return Block.FromString(stored.raw).transactions[location.position]
