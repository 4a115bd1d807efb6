"""What one update alone answers, beside the model that it was trained from."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from fedcoin.learning.evaluation.job import Coalitions, UtilityJob
from fedcoin.v1 import task_pb2

LONE_COALITIONS: Final[Coalitions] = np.array([[False], [True]])
"""The base model, and the model of the update alone."""


@dataclass(frozen=True, slots=True)
class LoneUpdate:
    """The utilities of an update and of its base, on the whole evaluation set."""

    base: int
    """The utility of the base model."""
    alone: int
    """The utility of the model with the update's weights."""


def build_lone_job(
    model: Path, base: Path, update: Path, evaluation: Path, utility: int, frozen: Path | None
) -> UtilityJob:
    """Describe a job whose only client sent an update.

    Args:
        model: The file of a serialised ModelSpec.
        base: The tensors of the weights from which the round starts.
        update: The tensors of the update.
        evaluation: The tensors `x` and `y` of the evaluation set.
        utility: A value of the enum `Utility` in task.proto.
        frozen: The tensors of the model's frozen weights; None for a model without.

    Returns:
        The job.
    """
    return UtilityJob(
        job_id=os.urandom(16),
        model=model,
        base=base,
        updates=(update,),
        num_samples=(1,),
        evaluation=evaluation,
        averaging=task_pb2.AVERAGING_EQUAL,
        empty=task_pb2.EMPTY_COALITION_BASE_MODEL,
        utility=utility,
        frozen=frozen,
    )


def read_lone_update(utilities: Sequence[int]) -> LoneUpdate:
    """Name the utilities of `LONE_COALITIONS`.

    Args:
        utilities: The two utilities, in their order.

    Returns:
        The same.
    """
    base, alone = utilities
    return LoneUpdate(base, alone)
