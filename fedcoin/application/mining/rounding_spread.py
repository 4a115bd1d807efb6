"""Measure how far a coalition's utility depends on the order in which a machine sums floats."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import Final, Protocol

import numpy as np

from fedcoin.learning.evaluation.job import Coalitions, Counts, UtilityJob

ROUNDINGS: Final = 8
"""How often coalitions are evaluated with other last digits of their weights."""

FIRST_ROUNDINGS: Final = 2
"""After how many of them it may be clear that a claim is forged."""

FAR: Final = 16
"""How many times as large as the first spread the wanted one is then, at least."""


class JobWorker(Protocol):
    """The part of `learning.workers.pool.WorkerPool` that evaluates a job of its own."""

    async def open_job(self, job: UtilityJob) -> None:
        """Load a job's files into the workers.

        Args:
            job: The inputs that determine the utilities.
        """
        ...

    async def evaluate(
        self, job_id: bytes, coalitions: Coalitions, *, urgent: bool = False
    ) -> Counts:
        """Compute the utilities of coalitions.

        Args:
            job_id: The id of an open job.
            coalitions: Bool (m, n), n the number of the job's clients.
            urgent: Whether callers that are not urgent wait until this call is done.

        Returns:
            int64 (m,), in units of the utility.
        """
        ...

    async def forget_job(self, job_id: bytes) -> None:
        """Close a job and forget its counts.

        Args:
            job_id: The job's id.
        """
        ...


async def measure_spread(
    worker: JobWorker, job: UtilityJob, coalitions: Coalitions, wanted: Counts, *, urgent: bool
) -> Counts:
    """Evaluate coalitions several times, each time with other last digits of trained weights.

    Ends after `FIRST_ROUNDINGS` when the spreads are by far too small for what is wanted. Of nine
    normal errors the spread is 1.8 times as large as of three, on average.

    Args:
        worker: The worker processes.
        job: The job, which is open.
        coalitions: Bool (m, n), at least one.
        wanted: int64 (m,): the spreads that would be large enough for the caller.
        urgent: Whether the evaluations come before those of callers that are not urgent.

    Returns:
        int64 (m,): the largest less the smallest utility of each coalition, at least 0.

    Raises:
        RefusalError: A code of `WorkerPool.evaluate`, such as TOO_SLOW, when the workers refuse the
            request.
        WorkerError: The worker processes failed.
    """
    utilities = [await worker.evaluate(job.job_id, coalitions, urgent=urgent)]
    for rounding in range(1, ROUNDINGS + 1):
        # An id of its own, as two audits of a task may run at once.
        changed = replace(job, job_id=os.urandom(32), rounding=rounding)
        await worker.open_job(changed)
        try:
            utilities.append(await worker.evaluate(changed.job_id, coalitions, urgent=urgent))
        finally:
            await worker.forget_job(changed.job_id)
        spread: Counts = np.ptp(utilities, axis=0)
        if rounding >= FIRST_ROUNDINGS and (FAR * spread < wanted).any():
            break
    return spread
