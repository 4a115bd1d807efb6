"""The part that all evaluators share: statistics first, then utilities."""

from __future__ import annotations

from abc import ABC, abstractmethod

import numpy as np

from fedcoin.learning.evaluation.job import Coalitions, Counts, UtilityJob, finish_utilities
from fedcoin.learning.measures.measure import Measure, Statistics
from fedcoin.learning.measures.near_ties import NEAR_TIES
from fedcoin.v1 import task_pb2


class SummingEvaluator(ABC):
    """Sums up a measure's statistics of coalitions. The base of all classes of `job.Evaluator`.

    Args:
        job: The job. If it sets the empty coalition's utility to 0, that one is not evaluated.
        measure: The job's measure, for the whole evaluation set.

    Attributes:
        measure: The job's measure, bound to its whole evaluation set.
    """

    def __init__(self, job: UtilityJob, measure: Measure) -> None:
        self._job = job
        self.measure = measure

    def sum_statistics(self, coalitions: Coalitions) -> Statistics:
        """Implement `Evaluator.sum_statistics`: 0 for the empty coalition if its utility is 0."""
        statistics = np.zeros((len(coalitions), self.measure.num_statistics), np.int64)
        is_zero = ~coalitions.any(axis=1) & (self._job.empty == task_pb2.EMPTY_COALITION_ZERO)
        rows = np.flatnonzero(~is_zero)
        if len(rows):
            # An output that overflows is merely a wrong answer.
            with np.errstate(all="ignore"):
                statistics[rows] = self._sum_up(coalitions[rows])
        return statistics

    def evaluate(self, coalitions: Coalitions) -> Counts:
        """Implement `Evaluator.evaluate`: compute the utilities from the statistics."""
        statistics = self.sum_statistics(coalitions)
        return finish_utilities(self._job, self.measure, coalitions, statistics)

    def count_near_ties(self, coalitions: Coalitions) -> Statistics:
        """Implement `Evaluator.count_near_ties`: count the examples that rounding decides."""
        own, self.measure = self.measure, NEAR_TIES
        try:
            return self.sum_statistics(coalitions)
        finally:
            self.measure = own

    @abstractmethod
    def _sum_up(self, coalitions: Coalitions) -> Statistics:
        """Sum up the statistics of at least one coalition, int64 (m, k)."""
