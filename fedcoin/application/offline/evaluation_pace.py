"""How long the evaluation of coalitions will take, from the batches so far."""

from __future__ import annotations

MIN_SECONDS, MIN_BATCHES = 1.0, 4
"""How much must be measured before a time is given: either suffices. Batches grow eightfold from
two coalitions, and the time of the first ones is mainly that of sending them. Chosen by hand."""


class EvaluationPace:
    """Predicts times from the latest batches, which together have half of the coalitions.

    Earlier batches are small and slow, so that the mean over all batches predicts too long a time.
    """

    def __init__(self) -> None:
        self._batches: list[tuple[int, float]] = []

    def add(self, num_coalitions: int, seconds: float) -> None:
        """Add the time that a batch took.

        Args:
            num_coalitions: How many coalitions it had, at least 1.
            seconds: How long it took.
        """
        self._batches.append((num_coalitions, seconds))

    def predict(self, num_coalitions: int) -> float | None:
        """Predict how long further coalitions will take.

        Args:
            num_coalitions: How many are left, at least 0.

        Returns:
            The time in seconds; None before `MIN_SECONDS` or `MIN_BATCHES` were measured.
        """
        measured = sum(seconds for _, seconds in self._batches)
        if measured < MIN_SECONDS and len(self._batches) < MIN_BATCHES:
            return None
        half = sum(count for count, _ in self._batches) / 2
        latest, seconds_taken = 0, 0.0
        for count, seconds in reversed(self._batches):
            latest += count
            seconds_taken += seconds
            if latest >= half:
                break
        return num_coalitions * seconds_taken / latest
