"""How long a height waits for the answers of further miners, so that one block holds them all.

A window of a task ends early when all its miners have answered. Blocks with some of the answers do
not end it, and each costs all validators their votes.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Final

from fedcoin.data.messages.transactions import Transaction, action_name

MAX_ANSWERS: Final = 256
"""From this number of waiting answers on, a block is large enough."""

_ANSWERS: Final = frozenset({"commit_shapley", "decline_task", "reveal_shapley"})


class AnswerWait:
    """The wait for answers at one height after another; times are Unix ms.

    Args:
        max_ms: For how long a height waits at most, in ms.
    """

    def __init__(self, max_ms: int) -> None:
        self._max_ms = max_ms
        self._since_ms: int | None = None

    def end_height(self) -> None:
        """Note that a height is over: the next one begins without answers."""
        self._since_ms = None

    def compute_left_ms(
        self,
        now_ms: int,
        ready: Iterable[Transaction],
        waiting: Mapping[bytes, int],
        *,
        is_proposer: bool,
    ) -> int:
        """Compute how long the next height has to wait for answers.

        Args:
            now_ms: The time.
            ready: What a block could hold, in any order.
            waiting: For how many miners the present window of each open task waits, by its id.
            is_proposer: Whether this node proposes the block. The others have nothing to do before
                its proposal comes, and the proposer may get or audit answers later than they.

        Returns:
            Milliseconds. It is 0 when anything else than answers is ready, or `MAX_ANSWERS`; when
            the proposer has all answers to a task; when the first answer came `max_ms` ago; and
            when the clock was set back since.
        """
        answers = _count_answers(ready)
        if not answers:
            return 0
        if is_proposer and any(count >= waiting.get(id, 0) for id, count in answers.items()):
            return 0
        if self._since_ms is None:
            self._since_ms = now_ms
        elapsed_ms = now_ms - self._since_ms
        return max(0, self._max_ms - elapsed_ms) if elapsed_ms >= 0 else 0


def _count_answers(ready: Iterable[Transaction]) -> Counter[bytes]:
    """Count answers by task; none where anything else is ready, or too many of them."""
    answers: Counter[bytes] = Counter()
    for number, transaction in enumerate(ready, start=1):
        action = action_name(transaction.body)
        if action not in _ANSWERS or number == MAX_ANSWERS:
            return Counter()
        answers[getattr(transaction.body, action).task_id] += 1
    return answers
