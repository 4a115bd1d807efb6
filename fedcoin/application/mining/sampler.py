"""Gathering a task's samples: coalitions go to the worker until there are enough.

Requests are short, about a quarter of a second each, so that others who ask the same worker get
their turn and whoever cancels is soon obeyed.
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

REQUEST_MS = 250
FIRST_ROWS = 64
MOST_ROWS = 4096
STAGES = 8
"""Into how many parts a walk is cut where it may be truncated, so that the rest can be saved."""

_UNKNOWN = -(1 << 40)


@dataclass(frozen=True, slots=True)
class Samples:
    """Leaves 0 to N - 1 of a plan."""

    utilities: Ints
    """(N, m), canonical."""
    grand: int
    empty: int


class BatchSizer:
    """How many coalitions to ask for at once."""

    def __init__(self) -> None:
        self.rows = FIRST_ROWS

    def learn(self, rows: int, elapsed_ms: int) -> None:
        """Aim at ``REQUEST_MS``; at most double, since one quick answer says little."""
        fitting = rows * REQUEST_MS // max(elapsed_ms, 1)
        self.rows = max(1, min(fitting, 2 * self.rows, MOST_ROWS))


async def gather(
    plan: SamplingPlan,
    utility: Utility,
    difficulty_nano: int,
    clock: Clock,
    end_ms: int,
    known: Samples | None = None,
    report: Report | None = None,
) -> Samples | None:
    """Evaluate leaves from where ``known`` ends until they are enough.

    Under EXACT that is all of them. Otherwise when the standard error is well under D
    (``stopping.is_enough``), at the task's most samples, or when ``clock()`` reaches ``end_ms``.
    Returns None when time ran out before there was anything that could be committed to. After
    each batch ``report`` is told how far it is. Whoever cancels is obeyed at once.
    """
    pace, pacemaker = BatchSizer(), ProgressReporter(plan, difficulty_nano, clock, end_ms, report)
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
            # Looking again only after some growth keeps the work in proportion to the samples.
            due = count + count // 20
        pacemaker.tell(count, error)
        leaves = range(count, min(plan.sample_limit, count + _batch(plan, count, pace.rows)))
        rows = await _evaluate(plan, utility, leaves, known, pace, clock)
        batches.append(rows)
        vectors.append(plan.contributions(leaves, rows, known.grand, known.empty))
        count = leaves.stop
    if count < (plan.fixed_samples or 1):
        return None
    return Samples(np.concatenate(batches), known.grand, known.empty)


def _batch(plan: SamplingPlan, count: int, rows: int) -> int:
    """How many leaves to take next: what fits into a request, ending on whole cycles."""
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
    pace: BatchSizer,
    clock: Clock,
) -> Ints:
    """The canonical utilities of some leaves: (N, m). Asks for nothing that is implied."""
    shape = (len(leaves), plan.leaf_length)
    coalitions = np.stack([plan.coalitions(leaf) for leaf in leaves])
    found = np.full(shape, _UNKNOWN, dtype=np.int64)
    while True:
        open_places = (found == _UNKNOWN) & ~plan.mask_implied(leaves, found, ends.grand)
        if not open_places.any():
            return plan.fill_implied(leaves, found, ends.grand, ends.empty)
        wanted = _next_stage(plan, open_places)
        started = clock()
        found[wanted] = await utility(coalitions[wanted])
        pace.learn(int(wanted.sum()), clock() - started)


def _next_stage(plan: SamplingPlan, open_places: Bools) -> Bools:
    """All open places; where walks may be cut short only the first few of each."""
    if not plan.truncation:
        return open_places
    walks = open_places.reshape(-1, plan.clients)
    stage = -(-plan.clients // STAGES)
    first = walks & (np.cumsum(walks, axis=1) <= stage)
    return first.reshape(open_places.shape)
