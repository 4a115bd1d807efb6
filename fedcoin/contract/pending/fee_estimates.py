"""What a transaction must pay to be admitted to a mempool, and to be in the next block."""

from __future__ import annotations

from collections.abc import Iterable

from fedcoin.contract.pending.eviction import EvictionOrder, min_fee_rate_above
from fedcoin.contract.pending.mempool_usage import MempoolUsage
from fedcoin.contract.pending.sender_queue import Entry

_USUAL_BYTES = 1024


def compute_min_fee_rate(usage: MempoolUsage, order: EvictionOrder) -> int:
    """Compute what a transaction must pay to be admitted now.

    Args:
        usage: The mempool's usage.
        order: What makes room first.

    Returns:
        Sap for each KiB of the signed transaction; 0 while there is room for one of 1 KiB.
    """
    cheapest = None if usage.has_room(_USUAL_BYTES) else order.cheapest()
    return 0 if cheapest is None else min_fee_rate_above(cheapest)


def estimate_next_block_fee_rate(
    entries: Iterable[Entry], usage: MempoolUsage, max_bytes: int
) -> int:
    """Estimate what a transaction must pay to be in the next block.

    Args:
        entries: The waiting transactions.
        usage: The mempool's usage.
        max_bytes: The size of a block in bytes.

    Returns:
        Sap for each KiB of the signed transaction; 0 when the block has room for all that wait.
    """
    if usage.num_bytes <= max_bytes:
        return 0
    room = max_bytes - usage.reserved_bytes
    rates = sorted(((e.fee_rate, e.num_bytes) for e in entries if e.step is None), reverse=True)
    for fee_rate, num_bytes in rates:
        room -= num_bytes
        if room < 0:
            return fee_rate + 1
    return 0
