"""What a transaction must pay to be admitted to a mempool, and to be in the next block."""

from __future__ import annotations

from fedcoin.contract.pending.eviction import EvictionOrder, min_fee_rate_above
from fedcoin.contract.pending.mempool_usage import MempoolUsage

_USUAL_BYTES = 1024


def compute_min_fee_rate(usage: MempoolUsage, order: EvictionOrder) -> int:
    """Compute what a transaction must pay to be admitted now.

    Args:
        usage: How much of its capacity the mempool uses.
        order: The order in which waiting transactions make room.

    Returns:
        Sap for each KiB of the signed transaction; 0 while there is room for one of 1 KiB.
    """
    cheapest = None if usage.has_room(_USUAL_BYTES) else order.cheapest()
    return 0 if cheapest is None else min_fee_rate_above(cheapest)


def estimate_next_block_fee_rate(usage: MempoolUsage, max_bytes: int) -> int:
    """Estimate what a transaction must pay to be in the next block.

    Args:
        usage: How much of its capacity the mempool uses.
        max_bytes: The size of a block in bytes.

    Returns:
        Sap for each KiB of the signed transaction; 0 when the block has room for all that wait.
    """
    return usage.ranking.find_rate(max_bytes - usage.reserved_bytes)
