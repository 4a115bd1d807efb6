"""Measure how far a coalition's utility depends on the order in which a machine sums floats."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import Final, Protocol

import numpy as np

from fedcoin.learning.evaluation.job import Coalitions, Counts, UtilityJob

ROUNDINGS: Final = 12
"""How often coalitions are evaluated with other last digits of their weights. All examples may flip
together: where each evaluation does so with a probability of 0.4, all twelve miss it in one of 460
measurements."""


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
    worker: JobWorker, job: UtilityJob, coalitions: Coalitions, *, urgent: bool
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
        RefusalError: A code of `WorkerPool.evaluate`, such as TOO_SLOW, when the workers refuse the
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
