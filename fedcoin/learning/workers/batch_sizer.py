"""The number of coalitions that are evaluated at a time: the only place that decides it.

A batch is sent to every worker at once and computed in one pass, so its size settles how often
callers take turns, how soon a new request, a deadline or a report of progress gets its chance, and
how much memory the averaged weights take.
"""

from __future__ import annotations

BATCH_SECONDS = 0.25
"""How long a batch should take, from the request to the last worker's answer: long enough that
sending it costs little, short enough that other callers do not wait long. Chosen by hand."""

FIRST_BATCH, MAX_BATCH = 2, 4096
"""Coalitions in a job's first batch, whose time is unknown, and the most in any batch."""

MAX_GROWTH = 8
"""A size is at most this many times the coalitions of the batch that it is learned from: one time
may mislead, since some coalitions cost nothing, as the empty one where it is worth 0."""


class BatchSizer:
    """Chooses the size of a job's batches from the time that they took.

    Args:
        max_coalitions: The most coalitions of which the evaluators hold the averaged weights.

    Attributes:
        size: The number of coalitions that the next batch may have, at least 1.
    """

    def __init__(self, max_coalitions: int) -> None:
        self._limit = max(1, min(max_coalitions, MAX_BATCH))
        self.size = min(FIRST_BATCH, self._limit)

    def learn(self, num_coalitions: int, seconds: float) -> None:
        """Adapt to a batch's time.

        Args:
            num_coalitions: The number of coalitions in the batch, at least 1.
            seconds: How long it took, in seconds.
        """
        fitting = int(num_coalitions * BATCH_SECONDS / max(seconds, 1e-6))
        if seconds <= BATCH_SECONDS:
            # The fixed costs of a small batch are no reason to make the next one small.
            fitting = max(self.size, min(fitting, MAX_GROWTH * num_coalitions))
        self.size = max(1, min(fitting, self._limit))
