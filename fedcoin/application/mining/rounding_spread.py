"""Measure how far a coalition's utility depends on the order in which a machine sums floats."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import Final

import numpy as np

from fedcoin.application.mining.coalition_evaluator import CoalitionEvaluator
from fedcoin.learning.evaluation.job import Coalitions, Counts, UtilityJob

ROUNDINGS: Final = 12
"""How often coalitions are evaluated with other last digits of their weights. All examples may flip
together: where each evaluation does so with a probability of 0.4, all twelve miss it in one of 460
measurements."""


async def measure_spread(
    worker: CoalitionEvaluator, job: UtilityJob, coalitions: Coalitions, *, urgent: bool
) -> Counts:
    """Evaluate coalitions several times, each time with other last digits of trained weights.

    The digits are random: a client that knew them could choose weights with which these
    evaluations agree and other machines do not.

    Args:
        worker: The worker processes.
        job: The job, which is open.
        coalitions: Bool (m, n), any number of them.
        urgent: Whether the evaluations come before those of callers that are not urgent.

    Returns:
        int64 (m,): the largest less the smallest utility of each coalition, at least 0.

    Raises:
        RefusalError: A code of `WorkerPool.evaluate`, such as OVERDUE, when the workers refuse the
            request.
        WorkerError: The worker processes failed.
    """
    utilities = [await worker.evaluate(job.job_id, coalitions, urgent=urgent)]
    for _ in range(ROUNDINGS):
        # An id of its own, as two audits of a task may run at once.
        changed = replace(job, job_id=os.urandom(32), rounding=draw_seed())
        await worker.open_job(changed)
        try:
            utilities.append(await worker.evaluate(changed.job_id, coalitions, urgent=urgent))
        finally:
            await worker.forget_job(changed.job_id)
    spread: Counts = np.ptp(utilities, axis=0)
    return spread


def draw_seed() -> int:
    """Draw the seed of one evaluation.

    Returns:
        A random integer from 1 to 2^56.
    """
    return 1 + int.from_bytes(os.urandom(7), "big")
