"""Gather a task's samples: send coalitions to the worker processes until there are enough.

A request takes about a quarter of a second, so that other callers of the workers get a turn and a
cancellation takes effect soon.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import numpy as np

from fedcoin.application.mining.progress import ProgressReporter, Report
from fedcoin.data.clock import Clock
from fedcoin.incentive.proof.layouts import Bools, Ints
from fedcoin.incentive.proof.sampling_plan import SamplingPlan
from fedcoin.incentive.proof.stopping import compute_standard_error_nano, has_enough_samples
from fedcoin.learning.evaluation.job import Coalitions, Counts

Utility = Callable[[Coalitions], Awaitable[Counts]]
"""Counts right answers: bool (m, n) coalitions to int64 (m,)."""

REQUEST_MS = 250
"""The time that one request should take."""

FIRST_ROWS = 64
"""The number of coalitions in the first request."""

MAX_ROWS = 4096
"""The largest number of coalitions in one request."""

STAGES = 8
"""The number of parts in which a walk is evaluated when it may be truncated."""

_UNKNOWN = -(1 << 40)


@dataclass(frozen=True, slots=True)
class Samples:
    """The utilities of leaves 0 to N - 1 of a plan, as counts of right answers."""

    utilities: Ints
    """Shape (N, m), int64, with implied utilities filled in."""
    grand: int
    """The utility of the grand coalition."""
    empty: int
    """The utility of the empty coalition."""


class BatchSizer:
    """Chooses the number of coalitions in a request, so that it takes about `REQUEST_MS`."""

    def __init__(self) -> None:
        self.rows = FIRST_ROWS

    def learn(self, rows: int, elapsed_ms: int) -> None:
        """Adapt to a request's time. The number at most doubles, since one time may mislead.

        Args:
            rows: The number of coalitions in the request.
            elapsed_ms: How long it took.
        """
        fitting = rows * REQUEST_MS // max(elapsed_ms, 1)
        self.rows = max(1, min(fitting, 2 * self.rows, MAX_ROWS))


async def gather(
    plan: SamplingPlan,
    utility: Utility,
    difficulty_nano: int,
    clock: Clock,
    end_ms: int,
    known: Samples | None = None,
    report: Report | None = None,
) -> Samples | None:
    """Evaluate leaves until there are enough samples.

    Under EXACT these are all leaves. Otherwise sampling stops when the standard error is well under
    D (`stopping.has_enough_samples`), at the plan's limit, or at the end of the time.

    Args:
        plan: The miner's samples.
        utility: Counts right answers.
        difficulty_nano: D in nano-utility.
        clock: Gives Unix ms.
        end_ms: When to stop, on this clock.
        known: Samples of an earlier attempt, which are continued.
        report: Called with the progress after each batch.

    Returns:
        The samples; None when the time was too short for a commitment.

    Raises:
        RefusalError: The worker refused a request.
        WorkerError: The worker processes failed.
    """
    sizer, reporter = BatchSizer(), ProgressReporter(plan, difficulty_nano, clock, end_ms, report)
    if known is None:
        known = await _ends(plan, utility)
    count, due, error = len(known.utilities), 0, float("inf")
    batches = [known.utilities]
    vectors = [
        plan.contributions(range(count), known.utilities, known.grand, known.empty),
    ]
    while count < plan.sample_limit and clock() < end_ms:
        if count >= due:
            taken = np.concatenate(vectors)
            if has_enough_samples(plan, taken, difficulty_nano):
                break
            error = compute_standard_error_nano(plan, taken)
            # Checking only after 5 % more samples keeps this work in proportion to the samples.
            due = count + count // 20
        reporter.report(count, error)
        leaves = range(count, min(plan.sample_limit, count + _batch(plan, count, sizer.rows)))
        rows = await _evaluate(plan, utility, leaves, known, sizer, clock)
        batches.append(rows)
        vectors.append(plan.contributions(leaves, rows, known.grand, known.empty))
        count = leaves.stop
    if count < (plan.fixed_samples or 1):
        return None
    return Samples(np.concatenate(batches), known.grand, known.empty)


def _batch(plan: SamplingPlan, count: int, rows: int) -> int:
    # The number of leaves in the next request, ending on a whole cycle where one fits.
    fitting = max(1, rows // plan.leaf_length)
    if plan.fixed_samples is not None:
        return fitting
    left = plan.cycle_length - count % plan.cycle_length
    if fitting < left:
        return fitting
    return left + (fitting - left) // plan.cycle_length * plan.cycle_length


async def _ends(plan: SamplingPlan, utility: Utility) -> Samples:
    ends = np.array([[True] * plan.clients, [False] * plan.clients])
    grand, empty = (await utility(ends)).tolist()
    return Samples(np.empty((0, plan.leaf_length), dtype=np.int64), grand, empty)


async def _evaluate(
    plan: SamplingPlan,
    utility: Utility,
    leaves: range,
    ends: Samples,
    sizer: BatchSizer,
    clock: Clock,
) -> Ints:
    # The utilities of some leaves, (N, m). Implied utilities are filled in, not evaluated.
    shape = (len(leaves), plan.leaf_length)
    coalitions = np.stack([plan.coalitions(leaf) for leaf in leaves])
    utilities = np.full(shape, _UNKNOWN, dtype=np.int64)
    while True:
        missing = (utilities == _UNKNOWN) & ~plan.mask_implied(leaves, utilities, ends.grand)
        if not missing.any():
            return plan.fill_implied(leaves, utilities, ends.grand, ends.empty)
        wanted = _next_stage(plan, missing)
        started = clock()
        utilities[wanted] = await utility(coalitions[wanted])
        sizer.learn(int(wanted.sum()), clock() - started)


def _next_stage(plan: SamplingPlan, missing: Bools) -> Bools:
    # All missing utilities; where walks may be truncated, only the first few of each walk.
    if not plan.truncation:
        return missing
    walks = missing.reshape(-1, plan.clients)
    stage = -(-plan.clients // STAGES)
    first = walks & (np.cumsum(walks, axis=1) <= stage)
    return first.reshape(missing.shape)
