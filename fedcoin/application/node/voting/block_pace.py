"""How long a height waits for more transactions, so that blocks are large when there are many.

A block of 5 transactions costs all validators nearly as much as one of 500. So the pause after a
block grows with the number of its transactions: after a few there is none, and under load blocks
come as far apart as their content is worth. With many validators, whose votes are what a block
costs, it also grows with the time that voting took: what is sent meanwhile is worth waiting for.
"""

from __future__ import annotations

from typing import Final

_FREE_TRANSACTIONS: Final = 50
"""A block with no more transactions than this is followed by no pause for its content."""
_MS_PER_TRANSACTION: Final = 1
_MAX_PAUSE_MS: Final = 300

_FREE_VOTING_MS: Final = 300
"""Voting that takes no longer than this, in ms, is followed by no pause for its time."""
_MAX_LONG_PAUSE_MS: Final = 1_000
_FEW_VALIDATORS, _MANY_VALIDATORS = 4, 16
"""Up to the first number of validators, no pause follows voting that took long; from the second on,
a pause as long as the voting took beyond `_FREE_VOTING_MS`; between them, a share of it."""


class BlockPace:
    """The pause between the blocks of this node; the times that it is told are Unix ms."""

    def __init__(self) -> None:
        self._began_ms = self._ended_ms = self._pause_ms = 0

    def begin_height(self, now_ms: int) -> None:
        """Note that voting on a height begins.

        Args:
            now_ms: The time.
        """
        self._began_ms = now_ms

    def end_height(
        self, now_ms: int, *, num_transactions: int, num_validators: int, has_voted: bool
    ) -> None:
        """Note that a block became final, and choose the pause after it.

        Args:
            now_ms: The time.
            num_transactions: How many transactions the block has.
            num_validators: How many validators the next height has.
            has_voted: Whether this node saw its voting begin; else the block came as a whole.
        """
        took_ms = now_ms - self._began_ms if has_voted else 0
        self._ended_ms = now_ms
        self._pause_ms = compute_pause_ms(num_transactions, took_ms, num_validators)

    def pause_left_ms(self, now_ms: int) -> int:
        """Tell how long the next height has to wait.

        Args:
            now_ms: The time.

        Returns:
            Milliseconds; 0 when the pause is over, and when the clock was set back since it began.
        """
        elapsed_ms = now_ms - self._ended_ms
        return max(0, self._pause_ms - elapsed_ms) if elapsed_ms >= 0 else 0


def compute_pause_ms(num_transactions: int, took_ms: int, num_validators: int) -> int:
    """Compute how long after a block the next height may begin, unless a deadline is due.

    Args:
        num_transactions: How many transactions the block has.
        took_ms: How long voting on it took, in ms; less than 0 when the clock was set back.
        num_validators: How many validators voted.

    Returns:
        Milliseconds: 1 for each transaction beyond 50, at most 300; or, where that is more, a share
        of what voting took beyond 300, at most 1,000. The share is 0 up to 4 validators and 1 from
        16 on, and grows evenly between.
    """
    for_content = min(
        _MS_PER_TRANSACTION * max(0, num_transactions - _FREE_TRANSACTIONS), _MAX_PAUSE_MS
    )
    range_of_share = _MANY_VALIDATORS - _FEW_VALIDATORS
    beyond_few = min(max(0, num_validators - _FEW_VALIDATORS), range_of_share)
    for_time = min(
        max(0, took_ms - _FREE_VOTING_MS) * beyond_few // range_of_share, _MAX_LONG_PAUSE_MS
    )
    return max(for_content, for_time)
