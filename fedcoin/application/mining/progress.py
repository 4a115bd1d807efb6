"""How far a miner is with a task, and how long it will still take."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from fedcoin.data.clock import Clock
from fedcoin.data.plurals import format_count
from fedcoin.incentive.proof.sampling_plan import NANO, SamplingPlan
from fedcoin.incentive.proof.stopping import DIFFICULTY_DIVISOR, MIN_SAMPLES


@dataclass(frozen=True, slots=True)
class Progress:
    """What is known after each request to the worker."""

    samples: int
    expected: int
    """About how many samples will be enough."""
    standard_error_nano: float
    """Of S, L2, in nano-utility; infinite while there is too little to tell, 0 under EXACT."""
    seconds_left: float
    """About how long that takes, the task's deadline considered."""

    def __str__(self) -> str:
        left = f"about {self.seconds_left:.0f} s left"
        share = f"{self.samples} of about {format_count(self.expected, 'sample')}"
        if not 0 < self.standard_error_nano < float("inf"):
            return f"{share}, {left}"
        return f"{share}, standard error {self.standard_error_nano / NANO:.2g}, {left}"


Report = Callable[[Progress], None]


def expected_samples(
    plan: SamplingPlan, samples: int, standard_error_nano: float, difficulty_nano: int
) -> int:
    """About how many samples will be enough: an error falls with the square root of their number.

    All of them while nothing is known about the error.
    """
    if plan.fixed_samples is not None:
        return plan.fixed_samples
    ratio = standard_error_nano * DIFFICULTY_DIVISOR / max(difficulty_nano, 1)
    if not ratio < float("inf"):
        return plan.sample_limit
    needed = max(samples * ratio * ratio, MIN_SAMPLES, samples)
    return int(min(needed, plan.sample_limit))


class ProgressReporter:
    """Tells the progress of one gathering to ``report``, which may be slow to come by."""

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

    def tell(self, samples: int, standard_error_nano: float) -> None:
        """Report on so many samples, whose error was that when last looked at."""
        if self._report is None:
            return
        now = self._clock()
        if self._first is None:
            self._first = samples
        expected = expected_samples(self._plan, samples, standard_error_nano, self._difficulty_nano)
        left_ms = max(0, self._end_ms - now)
        done = samples - self._first
        if done > 0:
            left_ms = min(left_ms, (expected - samples) * (now - self._began_ms) // done)
        self._report(Progress(samples, expected, standard_error_nano, left_ms / 1000))
