"""The evaluation job: the utility of coalitions of clients, one integer for each.

The utility of a coalition S is what the job's measure (`measures`) finds of the averaged model of S
(`coefficients`) on the evaluation set: by default the number of right answers. The empty coalition
is worth what the base model is worth, or 0, as the job says.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt

from fedcoin.data.errors import RefusalError
from fedcoin.learning.errors import LearningCode
from fedcoin.learning.measures.measure import Measure, Statistics
from fedcoin.v1 import task_pb2

Coalitions = npt.NDArray[np.bool_]
"""Bool (m, n): m coalitions of n clients; true where a client is a member."""

Counts = npt.NDArray[np.int64]
"""int64 (m,): the utility of each of m coalitions; with the accuracy, its right answers."""


@dataclass(frozen=True, slots=True)
class UtilityJob:
    """The inputs that determine the utility of every coalition of one set of clients."""

    job_id: bytes
    """Names the job; any bytes that no other job has. Counts are remembered under it."""
    model: Path
    """The file of a serialised ModelSpec."""
    base: Path
    """The tensors of the weights from which all clients started."""
    updates: tuple[Path, ...]
    """The tensors of each client's trained weights; client k is column k of the coalitions."""
    num_samples: tuple[int, ...]
    """How many examples each client trained on: its weight in the average."""
    evaluation: Path
    """The tensors `x` and `y` of the evaluation set."""
    averaging: int
    """A value of the enum `Averaging` in task.proto."""
    empty: int
    """A value of the enum `EmptyCoalition` in task.proto."""
    groups: tuple[int, ...] = ()
    """For each client the index of the first client of its group (`model.look_alikes`); empty when
    each client is a player of its own. A group is in a coalition when its first client is."""
    similarity_limit: float = 0.0
    """The smallest similarity within a group, 0 to 1; used only to check `groups`."""
    utility: int = task_pb2.UTILITY_ACCURACY
    """A value of the enum `Utility` in task.proto."""
    frozen: Path | None = None
    """The tensors of the frozen weights; None for a model of which all weights are trained."""
    rounding: int = 0
    """The seed that changes the last digits of trained weights (`rounded_weights`); 0: none."""

    def join_groups(self, coalitions: Coalitions) -> Coalitions:
        """Let all members of a group follow its first client, so that the others add nothing.

        Args:
            coalitions: Bool (m, n), n the number of clients.

        Returns:
            Bool (m, n), the same array where there are no groups.
        """
        return coalitions[:, list(self.groups)] if self.groups else coalitions


@dataclass(frozen=True, slots=True)
class ExampleShare:
    """The part of an evaluation set that one of several workers counts on.

    The set is cut into batches, and share `index` holds every `num_shares`-th batch from batch
    `index` on. The cuts do not depend on the number of shares, so the counts of all shares add up
    to the count on the whole set.
    """

    index: int
    """The index of the share, from 0."""
    num_shares: int
    """At least 1."""


ALL_EXAMPLES = ExampleShare(0, 1)
"""The whole evaluation set."""


class Evaluator(Protocol):
    """Measures coalitions for one job."""

    @property
    def max_coalitions(self) -> int:
        """The most coalitions to evaluate at a time, at least 1.

        More are evaluated too, in one pass that holds the averaged weights of all of them.
        """
        ...

    @property
    def measure(self) -> Measure:
        """The job's measure, for the whole evaluation set."""
        ...

    def sum_statistics(self, coalitions: Coalitions) -> Statistics:
        """Sum up what each coalition's averaged model answers on the evaluator's share.

        Args:
            coalitions: Bool (m, n), n the number of the job's clients. Coalitions that differ by
                few members are fastest next to each other.

        Returns:
            int64 (m, k): the statistics of `measure`. Those of all shares add up.
        """
        ...

    def evaluate(self, coalitions: Coalitions) -> Counts:
        """Compute the utility of each coalition, as if the share were the whole evaluation set.

        Args:
            coalitions: Bool (m, n), n the number of the job's clients.

        Returns:
            int64 (m,): the utilities, in units of the measure.
        """
        ...

    def count_near_ties(self, coalitions: Coalitions) -> Statistics:
        """Count the examples of the share that rounding decides (`measures.near_ties`).

        Args:
            coalitions: As in `sum_statistics`.

        Returns:
            int64 (m, 1). Meaningful for measures that do not need the outputs' values.
        """
        ...


def finish_utilities(
    job: UtilityJob, measure: Measure, coalitions: Coalitions, statistics: Statistics
) -> Counts:
    """Turn sums over the whole evaluation set into the utilities of coalitions.

    Args:
        job: The job to which the coalitions belong. If it sets the empty coalition's utility to 0,
            that one's sums are ignored.
        measure: The job's measure.
        coalitions: Bool (m, n).
        statistics: int64 (m, k), the sums of `Evaluator.sum_statistics` over all shares.

    Returns:
        int64 (m,): the utilities, in units of the measure.
    """
    utilities = measure.finish(statistics)
    if job.empty == task_pb2.EMPTY_COALITION_ZERO:
        utilities = np.where(coalitions.any(axis=1), utilities, 0)
    return utilities


def check_coalitions(coalitions: object, num_clients: int) -> Coalitions:
    """Check the shape and dtype of coalitions that a caller handed in.

    Args:
        coalitions: Anything that NumPy can make an array of.
        num_clients: How many columns the array must have.

    Returns:
        The coalitions as a bool array of shape (m, num_clients).

    Raises:
        RefusalError: BAD_COALITIONS when the array is not bool or not (m, num_clients).
    """
    array = np.asarray(coalitions)
    if array.dtype != np.bool_ or array.ndim != 2 or array.shape[1] != num_clients:
        raise RefusalError(
            LearningCode.BAD_COALITIONS,
            f"coalitions must be a bool array of shape (m, {num_clients}); "
            f"this is {array.dtype} of shape {array.shape}",
            field="coalitions",
            limit=f"(m, {num_clients}) bool",
        )
    return array
