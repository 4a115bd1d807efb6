"""How many bytes the steps of miners leave of a block, told from the block alone.

An honest proposer takes miners' steps first, each after its sender's earlier transactions. So a
step was left out for want of bytes only where those that went in leave too few for it. What other
senders fill a block with says nothing, so that nobody can hold windows open by fees alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from fedcoin.data.messages.transactions import Transaction, action_name
from fedcoin.v1.block_pb2 import Settlement

TAG_BYTES: Final = 6
"""The largest number of bytes that a block adds to each transaction: a tag and a length."""

HEADER_BYTES: Final = 512
"""An upper bound of a block's bytes without settlement, certificate and transactions."""

_STEPS: Final = frozenset({"commit_shapley", "reveal_shapley"})


def compute_room(max_bytes: int, certificate: bytes, settlement: Settlement | None) -> int:
    """Compute how many bytes the transactions of a block may take, with what surrounds each.

    Args:
        max_bytes: The largest size of the serialised block, in bytes.
        certificate: The serialised certificate of the parent.
        settlement: What the block settles, if anything.

    Returns:
        The room in bytes; below 0 when the block has none.
    """
    settled = settlement.ByteSize() if settlement is not None else 0
    return max_bytes - HEADER_BYTES - settled - len(certificate)


def count_step_bytes(transactions: Sequence[Transaction]) -> int:
    """Count the bytes of miners' steps and of what their senders sent before them.

    Args:
        transactions: A block's transactions, in order.

    Returns:
        Bytes, with what a block adds to each transaction.
    """
    counted = 0
    before: dict[bytes, int] = {}
    for transaction in transactions:
        waiting = before.pop(transaction.sender, 0) + len(transaction.raw) + TAG_BYTES
        if action_name(transaction.body) in _STEPS:
            counted += waiting
        else:
            before[transaction.sender] = waiting
    return counted
