"""What mining and audits need of the worker processes."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

from fedcoin.learning.evaluation.job import Coalitions, Counts, UtilityJob
from fedcoin.learning.measures.measure import Measure


class CoalitionEvaluator(Protocol):
    """The worker processes, as `learning.workers.pool.WorkerPool` provides them."""

    async def open_job(self, job: UtilityJob) -> None:
        """Load a job. A job that is open already stays open.

        Args:
            job: The files and terms of a task.
        """
        ...

    def batch_size(self, job_id: bytes) -> int:
        """Return how many coalitions fit into the next batch, at least 1.

        Args:
            job_id: The id of an open job.
        """
        ...

    def measure(self, job_id: bytes) -> Measure:
        """Return the measure of a job, for its evaluation set.

        Args:
            job_id: The id of an open job.
        """
        ...

    async def evaluate(
        self, job_id: bytes, coalitions: Coalitions, *, urgent: bool = False
    ) -> Counts:
        """Compute the utilities of coalitions, each of them only once.

        Args:
            job_id: The id of an open job.
            coalitions: Bool (m, n), n the number of the job's clients.
            urgent: Whether callers that are not urgent wait until this call is done.

        Returns:
            The utilities, int64 (m,), in units of the measure.
        """
        ...

    async def count_near_ties(self, job_id: bytes, coalitions: Coalitions) -> Counts:
        """Count the examples whose answer rounding decides.

        Args:
            job_id: The id of an open job.
            coalitions: Shape (m, n), bool; at most a batch.

        Returns:
            The near ties of each coalition's model, shape (m,), int64.
        """
        ...

    async def check_job(
        self, job: UtilityJob, aggregate: Path, evaluation_size: int, max_work: int
    ) -> None:
        """Check the format of a task's artifacts, and that the aggregate is the clients' average.

        Args:
            job: The files of the task: model, weights, and evaluation set.
            aggregate: The path of the aggregate's weights.
            evaluation_size: The number of examples that the evaluation set must have.
            max_work: The largest number of multiply-adds of one coalition on the whole set.

        Raises:
            RefusalError: TOO_SLOW when the model takes more than `max_work`; OVERDUE when the check
                took longer than a request may; a code of `job_checks.check_job_files`, such as
                BAD_MODEL, WRONG_SHAPE or WRONG_AGGREGATE, when a file is invalid or they do not fit
                together.
        """
        ...

    async def close_job(self, job_id: bytes) -> None:
        """Close a job. Its counts are remembered.

        Args:
            job_id: The id of a job; one that is not open is ignored.
        """
        ...

    async def forget_job(self, job_id: bytes) -> None:
        """Close a job and forget its counts.

        Args:
            job_id: The job's id.
        """
        ...
