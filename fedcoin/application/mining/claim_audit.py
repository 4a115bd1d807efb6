"""Audit a miner's claims: compute the utilities again, and see how far honest miners may differ.

The network's tolerance allows for usual models. A client can send weights whose model answers by
rounding errors, so that honest machines differ by more. Where a claim differs by more than the
tolerance, the auditor counts the answers that nearly tie in its own outputs, which machines may
compute in other ways, and allows for them up to a limit (`near_ties`). If that is not enough, it
measures how far its own utility moves with the weights' last digits, and allows for that.
"""

from __future__ import annotations

from typing import Final, Protocol

import numpy as np

from fedcoin.incentive.proof.audit import EvidenceClaims, compare_counts, find_disputed
from fedcoin.learning.evaluation.job import Coalitions, Counts

SPREADS: Final = 2
"""How many times the spread of a coalition's utility a claim may differ, beside the tolerance. A
spread can be one-sided, and can be small by chance: where all examples flip together between two
classes, one spread in five was smaller than the difference of two machines."""


class AuditedUtility(Protocol):
    """The utilities of a task's coalitions, as `task_evaluator.TaskUtility` provides them."""

    def tolerance(self, num_examples: int, per_ten_thousand: int) -> int:
        """Compute how far an audit accepts that a utility differs, in its units.

        Args:
            num_examples: The number of examples in the evaluation set.
            per_ten_thousand: The network parameter `utility_tolerance`.
        """
        ...

    async def __call__(self, coalitions: Coalitions) -> Counts:
        """Compute the utilities of coalitions.

        Args:
            coalitions: Bool (m, n).

        Returns:
            int64 (m,), in units of the utility.
        """
        ...

    async def accept_ties(
        self, coalitions: Coalitions, num_examples: int, per_ten_thousand: int
    ) -> Counts:
        """Compute the tolerance of coalitions with near ties.

        Args:
            coalitions: Bool (m, n).
            num_examples: As in `tolerance`.
            per_ten_thousand: As in `tolerance`.

        Returns:
            int64 (m,), at least the tolerance.
        """
        ...

    async def measure_spread(self, coalitions: Coalitions) -> Counts:
        """Measure how far the utilities of coalitions depend on rounding.

        Args:
            coalitions: Bool (m, n).

        Returns:
            int64 (m,): the largest less the smallest utility, at least 0.
        """
        ...


async def audit_claims(
    claims: EvidenceClaims, utility: AuditedUtility, evaluation_size: int, per_ten_thousand: int
) -> None:
    """Recompute all claims of a miner's evidence.

    Args:
        claims: The claims, from `list_claims`.
        utility: Computes utilities of the task.
        evaluation_size: The number of examples in the evaluation set.
        per_ten_thousand: The network parameter `utility_tolerance`.

    Raises:
        RefusalError: AUDIT_FAILED when a utility differs by more than the tolerance and what near
            ties or the coalition's rounding errors explain; the worker refused a request (a code of
            `WorkerPool.evaluate`, such as OVERDUE).
        WorkerError: The worker processes failed.
    """
    counts = await utility(claims.coalitions)
    tolerance = utility.tolerance(evaluation_size, per_ten_thousand)
    disputed = find_disputed(claims, counts, tolerance)
    tolerances = np.full(len(counts), tolerance, np.int64)
    # The largest difference first: of forged evidence nothing else is looked into.
    for rows in (disputed[:1], disputed[1:]):
        if len(rows):
            differences = np.abs(claims.counts - counts)[rows]
            coalitions = claims.coalitions[rows]
            accepted = await utility.accept_ties(coalitions, evaluation_size, per_ten_thousand)
            beyond = differences > accepted
            if beyond.any():
                spread = await utility.measure_spread(coalitions[beyond])
                accepted[beyond] = np.maximum(accepted[beyond], tolerance + SPREADS * spread)
            tolerances[rows] = accepted
            if (differences > accepted).any():
                break
    compare_counts(claims, counts, tolerances)
