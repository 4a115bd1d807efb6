"""Calls of a worker that read files of this machine, and need no job that is open."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from fedcoin.learning.evaluation.job import UtilityJob
from fedcoin.learning.evaluation.lone_updates import LoneUpdate, read_lone_update
from fedcoin.learning.model.work import MAX_COALITION_WORK
from fedcoin.learning.workers import jobs
from fedcoin.learning.workers.slow_jobs import SlowJobs
from fedcoin.learning.workers.worker_slot import WorkerSlot
from fedcoin.v1 import task_pb2

T = TypeVar("T")


class FileCalls:
    """Lets one worker of this machine check files, measure models, and call any function.

    Args:
        check_slot: The worker.
        slow_jobs: Remembers the jobs whose check took longer than a request may.
    """

    def __init__(self, check_slot: WorkerSlot, slow_jobs: SlowJobs) -> None:
        self._check_slot = check_slot
        self._slow_jobs = slow_jobs

    async def check_job(
        self,
        job: UtilityJob,
        aggregate: Path,
        evaluation_size: int,
        max_work: int = MAX_COALITION_WORK,
    ) -> None:
        """Check in a worker that a job's files and its aggregate fit together.

        Args:
            job: The job; it need not be open.
            aggregate: The tensors of the averaged weights.
            evaluation_size: How many examples the evaluation set must have.
            max_work: The largest number of multiply-adds of one coalition on the whole set.

        Raises:
            RefusalError: TOO_SLOW when the model takes more; OVERDUE when the check takes longer
                than a request may; MISSING_PACKAGE when an ONNX graph needs onnxruntime; a code of
                `job_checks.check_job_files`, such as BAD_MODEL, WRONG_SHAPE or WRONG_AGGREGATE,
                when a file is invalid or they do not fit together.
            WorkerError: A file cannot be read, or the worker died twice.
        """
        activity = f"while checking job {job.job_id.hex()[:16]}"
        with self._slow_jobs.watch(job.job_id):
            await self._check_slot.call(
                activity, jobs.check_job, job, aggregate, evaluation_size, max_work
            )

    async def measure_model(
        self,
        model: Path,
        weights: Path,
        evaluation: Path,
        utility: int = task_pb2.UTILITY_ACCURACY,
        frozen: Path | None = None,
    ) -> int:
        """Compute the utility of one model.

        Args:
            model: The file of a serialised ModelSpec.
            weights: The tensors of the model's weights.
            evaluation: The tensors `x` and `y` of the evaluation set.
            utility: A value of the enum `Utility` in task.proto.
            frozen: The tensors of the model's frozen weights; None for a model without.

        Returns:
            The utility on the whole evaluation set: with the accuracy, the right answers.

        Raises:
            RefusalError: The code of what is wrong with the model, weights or evaluation set, such
                as BAD_MODEL, WRONG_SHAPE or NOT_FINITE; all are listed at `jobs.load_evaluator`.
            WorkerError: A file cannot be read, or the worker died twice.
        """
        job = _job_of(model, weights, evaluation, utility, frozen)
        activity = f"while evaluating {weights.name}"
        return int(await self._check_slot.call(activity, jobs.measure_all, job))

    async def measure_lone_update(self, job: UtilityJob) -> LoneUpdate:
        """Measure an update alone, and the model that it was trained from.

        Args:
            job: A job of `lone_updates.build_lone_job`; it need not be open.

        Returns:
            The utilities of both.

        Raises:
            RefusalError: The code of what is wrong with the model, weights or evaluation set, such
                as BAD_MODEL, WRONG_SHAPE or NOT_FINITE; all are listed at `jobs.load_evaluator`.
            WorkerError: A file cannot be read, or the worker died twice.
        """
        activity = f"while measuring the update {job.updates[0].name}"
        return read_lone_update(
            await self._check_slot.call(activity, jobs.measure_lone_update, job)
        )

    async def explain_rounding(
        self,
        model: Path,
        weights: Path,
        evaluation: Path,
        utility: int = task_pb2.UTILITY_ACCURACY,
        frozen: Path | None = None,
    ) -> str:
        """Say it when rounding decides much of what a model answers.

        Args:
            model: The file of a serialised ModelSpec.
            weights: The tensors of the model's weights.
            evaluation: The tensors `x` and `y` of the evaluation set.
            utility: A value of the enum `Utility` in task.proto.
            frozen: The tensors of the model's frozen weights; None for a model without.

        Returns:
            A sentence (`jobs.explain_rounding`); nothing where rounding decides little.

        Raises:
            RefusalError: The code of what is wrong with the model, weights or evaluation set, such
                as BAD_MODEL, WRONG_SHAPE or NOT_FINITE; all are listed at `jobs.load_evaluator`.
            WorkerError: A file cannot be read, or the worker died twice.
        """
        job = _job_of(model, weights, evaluation, utility, frozen)
        activity = f"while varying the last digits of {weights.name}"
        return str(await self._check_slot.call(activity, jobs.explain_rounding, job))

    async def run(self, activity: str, function: Callable[..., T], *arguments: Any) -> T:
        """Call any function in a worker of this machine.

        Args:
            activity: A phrase for the error message when the worker dies twice, such as "while
                averaging".
            function: A function of a module, which the worker imports by name.
            *arguments: Its arguments, which are pickled.

        Returns:
            The result of the function.

        Raises:
            RefusalError: The function raised a RefusalError, which is passed on.
            WorkerError: The function raised any other exception, or the worker died twice.
        """
        result: T = await self._check_slot.call(activity, function, *arguments)
        return result


def _job_of(
    model: Path, weights: Path, evaluation: Path, utility: int, frozen: Path | None
) -> UtilityJob:
    """Describe a job of one client, whose grand coalition is the model with these weights."""
    return UtilityJob(
        job_id=os.urandom(16),
        model=model,
        base=weights,
        updates=(weights,),
        num_samples=(1,),
        evaluation=evaluation,
        averaging=task_pb2.AVERAGING_RENORMALISED,
        empty=task_pb2.EMPTY_COALITION_ZERO,
        utility=utility,
        frozen=frozen,
    )
