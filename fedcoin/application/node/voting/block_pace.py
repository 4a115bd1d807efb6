"""How long a height waits for more transactions, so that blocks are large when there are many.

A block of 5 transactions costs all validators nearly as much as one of 500. So the pause after a
block grows with the number of its transactions: after a few there is none, and under load blocks
come as far apart as their content is worth.
"""

from __future__ import annotations

from typing import Final

_FEW: Final = 50
"""So many transactions are worth a block without a pause."""
_MS_PER_TRANSACTION: Final = 1
_MAX_PAUSE_MS: Final = 300


def compute_pause_ms(num_transactions: int) -> int:
    """Compute how long after a block the next height may begin, unless a deadline is due.

    Args:
        num_transactions: How many transactions the block has.

    Returns:
        Milliseconds: 1 for each transaction beyond 50, at most 300.
    """
    return min(_MS_PER_TRANSACTION * max(0, num_transactions - _FEW), _MAX_PAUSE_MS)
