"""The progress of sampling a task, and an estimate of the time left."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass

from fedcoin.data.clock import Clock
from fedcoin.data.plurals import format_count
from fedcoin.incentive.proof.sampling_plan import NANO, SamplingPlan
from fedcoin.incentive.proof.stopping import DIFFICULTY_DIVISOR, MIN_SAMPLES

log = logging.getLogger(__name__)

LOG_INTERVAL_MS = 5_000
"""The time between two log lines about the progress of a task, in ms."""


@dataclass(frozen=True, slots=True)
class Progress:
    """The progress after one request to the worker processes."""

    samples: int
    """The number of samples so far."""
    expected: int
    """An estimate of the number of samples that will be enough."""
    standard_error_nano: float
    """The L2 norm of the standard errors of the Shapley values, in nano-utility; infinite while
    there are too few samples, 0 under EXACT."""
    seconds_left: float
    """An estimate of the time left, at most until the deadline, in seconds."""

    def __str__(self) -> str:
        left = f"about {self.seconds_left:.0f} s left"
        share = f"{self.samples} of about {format_count(self.expected, 'sample')}"
        if not 0 < self.standard_error_nano < float("inf"):
            return f"{share}, {left}"
        return f"{share}, standard error {self.standard_error_nano / NANO:.2g}, {left}"


Report = Callable[[Progress], None]
"""Takes the progress after each request."""


def logged_regularly(name: str, clock: Clock, tell: Report | None) -> Report:
    """Make a report that logs a task's progress every `LOG_INTERVAL_MS`.

    Args:
        name: What the log lines call the task.
        clock: Gives Unix ms.
        tell: Takes each progress, also those that are not logged; None: nobody does.

    Returns:
        The report. Its first line comes one interval after this call.
    """
    next_ms = clock() + LOG_INTERVAL_MS

    def report(current: Progress) -> None:
        nonlocal next_ms
        if tell is not None:
            tell(current)
        if clock() >= next_ms:
            next_ms = clock() + LOG_INTERVAL_MS
            log.info("task %s: %s", name, current)

    return report


def _estimate_samples(
    plan: SamplingPlan, samples: int, standard_error_nano: float, difficulty_nano: int
) -> int:
    # A standard error falls with the square root of the number of samples. While the error is
    # unknown, the estimate is the limit.
    if plan.fixed_samples is not None:
        return plan.fixed_samples
    ratio = standard_error_nano * DIFFICULTY_DIVISOR / max(difficulty_nano, 1)
    if not ratio < float("inf"):
        return plan.sample_limit
    needed = max(samples * ratio * ratio, MIN_SAMPLES, samples)
    return int(min(needed, plan.sample_limit))


class ProgressReporter:
    """Reports the progress of sampling one task.

    Args:
        plan: The miner's plan for the task: which coalitions its samples hold.
        difficulty_nano: D in nano-utility.
        clock: Gives Unix ms.
        end_ms: When sampling stops, on this clock.
        report: Takes each progress; None reports nothing.
    """

    def __init__(
        self,
        plan: SamplingPlan,
        difficulty_nano: int,
        clock: Clock,
        end_ms: int,
        report: Report | None,
    ) -> None:
        self._plan = plan
        self._difficulty_nano = difficulty_nano
        self._clock = clock
        self._end_ms = end_ms
        self._report = report
        self._began_ms = clock()
        self._first: int | None = None

    def report(self, samples: int, standard_error_nano: float) -> None:
        """Report the progress.

        Args:
            samples: The number of samples so far.
            standard_error_nano: The standard error when it was computed last, in nano-utility.
        """
        if self._report is None:
            return
        now = self._clock()
        if self._first is None:
            self._first = samples
        expected = _estimate_samples(
            self._plan, samples, standard_error_nano, self._difficulty_nano
        )
        left_ms = max(0, self._end_ms - now)
        done = samples - self._first
        if done > 0:
            left_ms = min(left_ms, (expected - samples) * (now - self._began_ms) // done)
        self._report(Progress(samples, expected, standard_error_nano, left_ms / 1000))
