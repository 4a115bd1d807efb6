"""Gather a task's samples: send coalitions to the worker processes until there are enough.

Leaves are evaluated a batch of the worker processes at a time, so that there is a report of
progress and a look at the clock after each.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from fedcoin.application.mining.progress import ProgressReporter, Report
from fedcoin.data.clock import Clock
from fedcoin.incentive.proof.layouts import Bools, Ints
from fedcoin.incentive.proof.sampling_plan import SamplingPlan
from fedcoin.incentive.proof.stopping import (
    MIN_SAMPLES,
    compute_standard_error_nano,
    has_enough_samples,
)
from fedcoin.learning.evaluation.job import Coalitions, Counts


class Utility(Protocol):
    """Computes the utilities of coalitions, as `task_evaluator.TaskUtility` does."""

    @property
    def batch_size(self) -> int:
        """How many coalitions fit into the next batch, at least 1."""
        ...

    async def __call__(self, coalitions: Coalitions) -> Counts:
        """Compute utilities.

        Args:
            coalitions: Bool (m, n).

        Returns:
            int64 (m,).
        """
        ...


STAGES = 8
"""The number of parts in which a walk is evaluated when it may be truncated."""

_UNKNOWN = -(1 << 40)


@dataclass(frozen=True, slots=True)
class Samples:
    """The utilities of leaves 0 to N - 1 of a plan."""

    utilities: Ints
    """int64 (N, m), N leaves of m coalitions each, with implied utilities filled in."""
    grand: int
    """The utility of the grand coalition, in units of the measure."""
    empty: int
    """The utility of the empty coalition, in units of the measure."""


async def gather(
    plan: SamplingPlan,
    utility: Utility,
    difficulty_nano: int,
    clock: Clock,
    end_ms: int,
    known: Samples | None = None,
    report: Report | None = None,
    is_over: Callable[[], bool] = lambda: False,
) -> Samples | None:
    """Evaluate leaves until there are enough samples.

    Under EXACT these are all leaves. Otherwise sampling stops when the standard error is well under
    D (`stopping.has_enough_samples`), at the plan's limit, or at the end of the time.

    Args:
        plan: The miner's plan for the task: which coalitions its samples hold.
        utility: Computes utilities, and says how many coalitions a batch takes.
        difficulty_nano: D in nano-utility.
        clock: Gives Unix ms.
        end_ms: When to stop, on this clock.
        known: Samples of an earlier attempt, which are continued.
        report: Called with the progress after each batch.
        is_over: Tells before each batch whether the window ends sooner than was known at first.

    Returns:
        The samples; None when fewer than a commitment needs were evaluated by then.

    Raises:
        RefusalError: A code of `WorkerPool.evaluate`: UNKNOWN_JOB when the job is not open,
            OVERDUE when a batch took longer than a request to the workers may.
        WorkerError: A worker process died twice on the same request.
    """
    reporter = ProgressReporter(plan, difficulty_nano, clock, end_ms, report)
    if known is None:
        known = await _ends(plan, utility)
    count, due, error = len(known.utilities), 0, float("inf")
    batches = [known.utilities]
    vectors = [
        plan.contributions(range(count), known.utilities, known.grand, known.empty),
    ]
    while count < plan.sample_limit and clock() < end_ms and not is_over():
        if count >= due:
            taken = np.concatenate(vectors)
            if has_enough_samples(plan, taken, difficulty_nano):
                break
            error = compute_standard_error_nano(plan, taken)
            # Checking only after 5 % more samples keeps this work in proportion to the samples.
            due = count + count // 20
        reporter.report(count, error)
        fitting = _count_leaves(plan, count, utility.batch_size)
        leaves = range(count, min(plan.sample_limit, count + fitting))
        rows = await _evaluate(plan, utility, leaves, known)
        batches.append(rows)
        vectors.append(plan.contributions(leaves, rows, known.grand, known.empty))
        count = leaves.stop
    if count < (plan.fixed_samples or 1):
        return None
    return Samples(np.concatenate(batches), known.grand, known.empty)


def _count_leaves(plan: SamplingPlan, count: int, batch_size: int) -> int:
    # The number of leaves to evaluate next, ending on a whole cycle where one fits.
    fitting = max(1, batch_size // plan.leaf_length)
    if plan.fixed_samples is not None:
        return fitting
    # The number at most doubles between two looks at the error, however fast the workers are: a
    # vector with under a quarter of the median number of samples is no inlier (docs/adr/0015).
    fitting = min(fitting, max(count, MIN_SAMPLES))
    left = plan.cycle_length - count % plan.cycle_length
    if fitting < left:
        return fitting
    return left + (fitting - left) // plan.cycle_length * plan.cycle_length


async def _ends(plan: SamplingPlan, utility: Utility) -> Samples:
    ends = np.array([[True] * plan.clients, [False] * plan.clients])
    grand, empty = (await utility(ends)).tolist()
    return Samples(np.empty((0, plan.leaf_length), dtype=np.int64), grand, empty)


async def _evaluate(plan: SamplingPlan, utility: Utility, leaves: range, ends: Samples) -> Ints:
    # The utilities of some leaves, (N, m). Implied utilities are filled in, not evaluated.
    shape = (len(leaves), plan.leaf_length)
    coalitions = np.stack([plan.coalitions(leaf) for leaf in leaves])
    utilities = np.full(shape, _UNKNOWN, dtype=np.int64)
    while True:
        missing = (utilities == _UNKNOWN) & ~plan.mask_implied(leaves, utilities, ends.grand)
        if not missing.any():
            return plan.fill_implied(leaves, utilities, ends.grand, ends.empty)
        wanted = _next_stage(plan, missing)
        utilities[wanted] = await utility(coalitions[wanted])


def _next_stage(plan: SamplingPlan, missing: Bools) -> Bools:
    # All missing utilities; where walks may be truncated, only the first few of each walk.
    if not plan.truncation:
        return missing
    walks = missing.reshape(-1, plan.clients)
    stage = -(-plan.clients // STAGES)
    first = walks & (np.cumsum(walks, axis=1) <= stage)
    return first.reshape(missing.shape)
