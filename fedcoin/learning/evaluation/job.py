"""The question that miners answer: how good is the averaged model of a coalition?

The utility of a coalition S is the number of evaluation examples whose highest output of the
model with the weights of S (``aggregation.coalition_coefficients``) is the right class. The
lowest class wins a tie, and an example with a NaN among its outputs is wrong. The coalition of
nobody is worth what the base model is worth, or nothing, as the task says.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt

from fedcoin.data.errors import RefusalError
from fedcoin.learning.errors import LearningCode

Coalitions = npt.NDArray[np.bool_]
Counts = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class UtilityJob:
    """Everything that determines the utility of each coalition of one task.

    ``model`` is the file of a ModelSpec; ``base``, ``updates`` (in the order of the task's
    clients) and ``evaluation`` (tensors ``x`` and ``y``) are files of tensors. ``num_samples``
    are the clients' weights in the average. ``averaging`` and ``empty`` are the numbers of
    ``Averaging`` and ``EmptyCoalition`` in task.proto.
    """

    job_id: bytes
    model: Path
    base: Path
    updates: tuple[Path, ...]
    num_samples: tuple[int, ...]
    evaluation: Path
    averaging: int
    empty: int


@dataclass(frozen=True, slots=True)
class ExampleShare:
    """Every ``count``-th block of an evaluation set's examples, from block ``index`` on.

    Who shares the work shares the examples, so that each holds a part of them and their counts
    add up. Where the blocks are cut does not depend on ``count``.
    """

    index: int
    count: int


ALL_EXAMPLES = ExampleShare(0, 1)


class Evaluator(Protocol):
    """Counts right answers for one job; ``dense`` and ``generic`` satisfy it."""

    def evaluate(self, coalitions: Coalitions) -> Counts:
        """Right answers (int64, shape (m,)) of each row of a bool array of shape (m, n)."""
        ...


def check_coalitions(coalitions: object, clients: int) -> Coalitions:
    """The same as a bool array of shape (m, clients), or Refusal BAD_COALITIONS."""
    array = np.asarray(coalitions)
    if array.dtype != np.bool_ or array.ndim != 2 or array.shape[1] != clients:
        raise RefusalError(
            LearningCode.BAD_COALITIONS,
            f"coalitions must be a bool array of shape (m, {clients}); "
            f"this is {array.dtype} of shape {array.shape}",
            field="coalitions",
            limit=f"(m, {clients}) bool",
        )
    return array
