"""The samples of one miner for one task; the task and the miner's key determine all of them.

`SamplingPlan` checks the ranges of a task's sampling terms once and gives access to the layout of
its schedule. For the notation (n, N, m, G, E, S) see `layouts`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial

import numpy as np

from fedcoin.data.errors import RefusalError
from fedcoin.data.field_checks import check_length, check_range
from fedcoin.incentive.errors import IncentiveCode
from fedcoin.incentive.proof import exact_layout
from fedcoin.incentive.proof.exact_layout import ExactLayout
from fedcoin.incentive.proof.layouts import Bools, Ints, Layout
from fedcoin.incentive.proof.walk_layout import WalkLayout
from fedcoin.incentive.rounding import round_to_sum
from fedcoin.learning.measures.terms import largest_utility
from fedcoin.v1 import task_pb2

MAX_CLIENTS = 1_000
"""The largest number of clients of a task."""
_MAX_EVALUATION_SIZE = 10_000_000
_MAX_SAMPLES = 1_000_000
NANO = 1_000_000_000
"""Nano-utilities in the largest utility."""


@dataclass(frozen=True, slots=True)
class SamplingPlan:
    """Which coalitions a miner evaluates, and how their utilities give Shapley values.

    A plan's numbers are in range: a function that is given one need not check them again.

    Raises:
        RefusalError: BAD_PLAN when a number is out of range or the schedule is unknown, MALFORMED
            when the id or key does not have 32 bytes.
    """

    schedule: int
    """A `Schedule` of the wire: EXACT, PERMUTATION or ANTITHETIC."""
    clients: int
    """Number of clients n, 1 to 1,000; at most 16 under EXACT."""
    evaluation_size: int
    """Number of examples in the evaluation set, 1 to 10,000,000."""
    truncation: int
    """Distance from the grand coalition at which a walk ends, 0 to E, where 0 means no truncation;
    0 under EXACT."""
    max_samples: int
    """The largest number of samples that a miner may claim, 1 to 1,000,000; 0 under EXACT."""
    task_id: bytes
    """The task's id, 32 bytes."""
    public_key: bytes
    """The miner's Ed25519 public key, 32 bytes."""
    empty_is_zero: bool = False
    """True under EMPTY_COALITION_ZERO: u(no client) must be 0."""
    utility: int = task_pb2.UTILITY_ACCURACY
    """The task's `Utility`; with the evaluation size it determines E, `max_utility`."""
    layout: Layout = field(init=False, repr=False, compare=False)
    """The coalitions of each leaf, under this plan's schedule."""

    def __post_init__(self) -> None:
        for name in ("task_id", "public_key"):
            check_length(getattr(self, name), 32, name, code=IncentiveCode.MALFORMED)
        check = partial(check_range, code=IncentiveCode.BAD_PLAN)
        check(self.evaluation_size, 1, _MAX_EVALUATION_SIZE, "evaluation_size")
        if self.schedule == task_pb2.SCHEDULE_EXACT:
            check(self.clients, 1, exact_layout.MAX_EXACT_CLIENTS, "clients")
            check(self.max_samples, 0, 0, "max_samples")
            check(self.truncation, 0, 0, "truncation")
            layout: Layout = ExactLayout(self.clients)
        elif self.schedule in (task_pb2.SCHEDULE_PERMUTATION, task_pb2.SCHEDULE_ANTITHETIC):
            check(self.clients, 1, MAX_CLIENTS, "clients")
            check(self.max_samples, 1, _MAX_SAMPLES, "max_samples")
            check(self.truncation, 0, self.max_utility, "truncation")
            antithetic = self.schedule == task_pb2.SCHEDULE_ANTITHETIC
            layout = WalkLayout(self.clients, antithetic, self.task_id, self.public_key)
        else:
            raise RefusalError(
                IncentiveCode.BAD_PLAN,
                f"schedule {self.schedule} is unknown: use EXACT, PERMUTATION or ANTITHETIC",
                field="schedule",
            )
        object.__setattr__(self, "layout", layout)

    def of_miner(self, public_key: bytes) -> SamplingPlan:
        """Make another miner's plan for the same task.

        Args:
            public_key: The miner's key, 32 bytes.

        Returns:
            The plan.

        Raises:
            RefusalError: MALFORMED when the key does not have 32 bytes.
        """
        return SamplingPlan(
            self.schedule,
            self.clients,
            self.evaluation_size,
            self.truncation,
            self.max_samples,
            self.task_id,
            public_key,
            self.empty_is_zero,
            self.utility,
        )

    @property
    def max_utility(self) -> int:
        """The largest utility of a coalition, E."""
        return largest_utility(self.utility, self.evaluation_size)

    @property
    def fixed_samples(self) -> int | None:
        """The number of leaves under EXACT; None under the other schedules."""
        return self.layout.leaves if isinstance(self.layout, ExactLayout) else None

    @property
    def sample_limit(self) -> int:
        """The largest number of leaves that a miner may claim, under any schedule."""
        return self.fixed_samples or self.max_samples

    @property
    def leaf_length(self) -> int:
        """Number of utilities in a leaf, m."""
        return self.layout.leaf_length

    @property
    def cycle_length(self) -> int:
        """Number of consecutive leaves whose errors partly cancel."""
        return self.layout.cycle_length

    @property
    def pair_length(self) -> int:
        """2 when leaves 2j and 2j + 1 are a walk and its reverse, otherwise 1."""
        return self.layout.pair_length

    def denominator(self, samples: int) -> int:
        """Return the divisor that turns the sum of all leaves' vectors into S.

        Args:
            samples: Number of leaves, N.

        Returns:
            A positive integer.
        """
        return self.layout.denominator(samples)

    def evaluations(self, samples: int) -> int:
        """Count the utilities that a number of leaves hold.

        Args:
            samples: Number of leaves, N.

        Returns:
            The number of utilities, including those that the schedule defines.
        """
        return self.layout.evaluations(samples)

    def coalitions(self, index: int) -> Bools:
        """List the coalitions of a leaf, in the order of its utilities.

        Args:
            index: The leaf, from 0.

        Returns:
            bool (m, n), true where the client takes part.
        """
        return self.layout.coalitions(index)

    def mask_implied(self, indices: Sequence[int], utilities: Ints, grand: int) -> Bools:
        """Mark the utilities that the schedule defines, so that they need no evaluation.

        Args:
            indices: N leaves.
            utilities: The utilities of each leaf's m coalitions (`leaf_length`), in units of the
                utility, int64 (N, m).
            grand: u(all clients), in units of the utility.

        Returns:
            bool (N, m), True where the schedule defines the utility.
        """
        return self.layout.mask_implied(_to_array(indices), utilities, grand, self.truncation)

    def fill_implied(self, indices: Sequence[int], utilities: Ints, grand: int, empty: int) -> Ints:
        """Fill in the utilities that the schedule defines, so that they need no evaluation.

        Args:
            indices: N leaves.
            utilities: The utilities of each leaf's m coalitions (`leaf_length`), in units of the
                utility, int64 (N, m); not changed.
            grand: u(all clients), in units of the utility.
            empty: u(no client), in units of the utility.

        Returns:
            A copy of `utilities`, int64 (N, m), with the implied ones filled in.
        """
        leaves = _to_array(indices)
        implied = self.layout.mask_implied(leaves, utilities, grand, self.truncation)
        return np.where(implied, self.layout.implied_values(leaves, grand, empty), utilities)

    def contributions(
        self, indices: Sequence[int], utilities: Ints, grand: int, empty: int
    ) -> Ints:
        """Compute the vectors of leaves.

        Args:
            indices: N leaves.
            utilities: The utilities of each leaf's m coalitions, int64 (N, m), including
                those that the schedule defines.
            grand: u(all clients), in units of the utility.
            empty: u(no client), in units of the utility.

        Returns:
            The vectors, int64 (N, n); their sum over all leaves is S times `denominator`.
        """
        return self.layout.contributions(_to_array(indices), utilities, grand, empty)

    def check_utilities(
        self, indices: Sequence[int], rows: Sequence[Sequence[int]], grand: int, empty: int
    ) -> Ints:
        """Check claimed utilities of leaves and turn them into an array.

        Args:
            indices: N leaves.
            rows: The claimed utilities of each of them, in units of the utility.
            grand: u(all clients), in units of the utility.
            empty: u(no client), in units of the utility.

        Returns:
            The utilities of each leaf's m coalitions, int64 (N, m).

        Raises:
            RefusalError: WRONG_LEAVES when a leaf does not have m utilities; BAD_UTILITY when a
                utility is out of 0 to E or not what the schedule defines. The message names the
                leaf.
        """
        for index, row in zip(indices, rows, strict=True):
            if len(row) != self.leaf_length:
                raise RefusalError(
                    IncentiveCode.WRONG_LEAVES,
                    f"leaf {index} has {len(row)} utilities, not {self.leaf_length}",
                    field="leaves.utilities",
                    limit=str(self.leaf_length),
                )
            if not 0 <= min(row) <= max(row) <= self.max_utility:
                raise RefusalError(
                    IncentiveCode.BAD_UTILITY,
                    f"leaf {index} claims {min(row)} to {max(row)}; the task's utility is"
                    f" 0 to {self.max_utility}",
                    field="leaves.utilities",
                    limit=str(self.max_utility),
                )
        utilities = np.array([list(row) for row in rows], dtype=np.int64)
        utilities = utilities.reshape(len(rows), self.leaf_length)
        wrong = np.argwhere(self.fill_implied(indices, utilities, grand, empty) != utilities)
        if len(wrong):
            row, position = wrong[0].tolist()
            raise RefusalError(
                IncentiveCode.BAD_UTILITY,
                f"leaf {indices[row]}, coalition {position}: {utilities[row, position]} right"
                " answers are claimed where the schedule defines the number from the grand"
                f" ({grand}) and the empty ({empty}) coalition",
                field="leaves.utilities",
            )
        return utilities

    def sum_bounds(self, first: Ints, count: Ints, grand: int, empty: int) -> tuple[Ints, Ints]:
        """Bound the sum of the leaves' vectors in each group of consecutive leaves.

        Args:
            first: First leaf of each group, int64 (G,).
            count: Number of leaves of each group, int64 (G,).
            grand: u(all clients), in units of the utility.
            empty: u(no client), in units of the utility.

        Returns:
            The lowest and the highest possible sums, int64 (G, n) each.
        """
        return self.layout.sum_bounds(first, count, self.max_utility, grand, empty)

    def efficiency_sums(self, first: Ints, count: Ints, grand: int, empty: int) -> Ints:
        """Predict the total, over all clients, of the vectors in each group of leaves.

        Args:
            first: First leaf of each group, int64 (G,).
            count: Number of leaves of each group, int64 (G,).
            grand: u(all clients), in units of the utility.
            empty: u(no client), in units of the utility.

        Returns:
            The totals, int64 (G,), in the unit of the vectors.
        """
        return self.layout.efficiency_sums(first, count, grand, empty)

    def max_leaf_weight_nano(self, samples: int) -> int:
        """Bound how far forging one leaf can move a client's value.

        Args:
            samples: Number of leaves, N.

        Returns:
            The widest range of a leaf's vector as a Shapley value in nano-utility, rounded up.
        """
        leaves = np.arange(min(samples, exact_layout.MAX_LEAVES), dtype=np.int64)
        low, high = self.sum_bounds(leaves, np.ones_like(leaves), self.max_utility, 0)
        whole = self.denominator(samples) * self.max_utility
        return -(-int((high - low).max()) * NANO // whole)

    def shapley_nano(self, samples: int, total: Sequence[int]) -> tuple[int, ...]:
        """Compute the Shapley values in nano-utility: total * 10^9 / (denominator * E).

        Args:
            samples: Number of leaves, N.
            total: The sum of all leaves' vectors, n integers.

        Returns:
            n integers, rounded by largest remainder: they add up to (grand - empty) * 10^9 / E,
            rounded to the nearest integer, halves upwards.
        """
        whole = self.denominator(samples) * self.max_utility
        return round_to_sum([value * NANO for value in total], whole)


def build_plan(terms: task_pb2.OpenTask, task_id: bytes, public_key: bytes) -> SamplingPlan:
    """Build a miner's plan from the terms of a task.

    Args:
        terms: The action that opened the task.
        task_id: The task's id, 32 bytes.
        public_key: The miner's key, 32 bytes.

    Returns:
        The plan, whose numbers are in range.

    Raises:
        RefusalError: BAD_PLAN when a number of the terms is out of range or the schedule is
            unknown; MALFORMED when the id or key does not have 32 bytes.
    """
    return SamplingPlan(
        schedule=terms.sampling.schedule,
        clients=len(terms.updates),
        evaluation_size=terms.evaluation.size,
        truncation=terms.sampling.truncation,
        max_samples=terms.sampling.max_samples,
        task_id=task_id,
        public_key=public_key,
        empty_is_zero=terms.empty_coalition == task_pb2.EMPTY_COALITION_ZERO,
        utility=terms.utility,
    )


def _to_array(indices: Sequence[int]) -> Ints:
    return np.asarray(indices, dtype=np.int64)
