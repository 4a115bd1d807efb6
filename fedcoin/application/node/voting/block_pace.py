"""How long a height waits for more transactions, so that blocks are large when there are many.

A block of 5 transactions costs all validators nearly as much as one of 500. So the pause after a
block grows with the number of its transactions: it is nothing to speak of for a few, and under
load blocks come as far apart as their content is worth.
"""

from __future__ import annotations

from typing import Final

_MS_PER_TRANSACTION: Final = 1
_MAX_PAUSE_MS: Final = 300


def compute_pause_ms(num_transactions: int) -> int:
    """Compute how long after a block the next height may begin, unless a deadline is due.

    Args:
        num_transactions: How many transactions the block has.

    Returns:
        Milliseconds: 1 for each transaction, at most 300.
    """
    return min(_MS_PER_TRANSACTION * num_transactions, _MAX_PAUSE_MS)
