"""The samples of one miner for one task: all of it follows from the task and the miner's key."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from fedcoin.data.errors import RefusalError
from fedcoin.incentive.errors import IncentiveCode
from fedcoin.incentive.proof import exact_layout
from fedcoin.incentive.proof.exact_layout import ExactLayout
from fedcoin.incentive.proof.layouts import Bools, Ints, Layout
from fedcoin.incentive.proof.walk_layout import WalkLayout
from fedcoin.incentive.rounding import round_to_sum
from fedcoin.v1 import task_pb2

MAX_CLIENTS = 1_000
MAX_EVALUATION_SIZE = 10_000_000
MAX_SAMPLES = 1_000_000
NANO = 1_000_000_000


@dataclass(frozen=True, slots=True)
class SamplingPlan:
    """Which coalitions a miner evaluates, and what their utilities add up to.

    Raises ``Refusal`` BAD_PLAN (MALFORMED for ids of the wrong length) when built from numbers out
    of range, so that whoever holds one need not check them again.
    """

    schedule: int
    """A ``Schedule`` of the wire."""
    clients: int
    """n, 1 to 1,000; at most 16 under EXACT."""
    evaluation_size: int
    """Examples in the evaluation set, 1 to 10,000,000: utilities are from 0 to this."""
    truncation: int
    """In right answers, 0 to ``evaluation_size``; 0 under EXACT."""
    max_samples: int
    """1 to 1,000,000; 0 under EXACT."""
    task_id: bytes
    """32 bytes."""
    public_key: bytes
    """The miner's, 32 bytes."""
    empty_is_zero: bool = False
    """True under EMPTY_COALITION_ZERO: the empty coalition must be worth 0."""
    layout: Layout = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        for name in ("task_id", "public_key"):
            if len(getattr(self, name)) != 32:
                raise RefusalError(
                    IncentiveCode.MALFORMED, f"{name} must be 32 bytes", field=name, limit="32"
                )
        _within("evaluation_size", self.evaluation_size, 1, MAX_EVALUATION_SIZE)
        if self.schedule == task_pb2.SCHEDULE_EXACT:
            _within("clients", self.clients, 1, exact_layout.MAX_EXACT_CLIENTS)
            _within("max_samples", self.max_samples, 0, 0)
            _within("truncation", self.truncation, 0, 0)
            layout: Layout = ExactLayout(self.clients)
        elif self.schedule in (task_pb2.SCHEDULE_PERMUTATION, task_pb2.SCHEDULE_ANTITHETIC):
            _within("clients", self.clients, 1, MAX_CLIENTS)
            _within("max_samples", self.max_samples, 1, MAX_SAMPLES)
            _within("truncation", self.truncation, 0, self.evaluation_size)
            antithetic = self.schedule == task_pb2.SCHEDULE_ANTITHETIC
            layout = WalkLayout(self.clients, antithetic, self.task_id, self.public_key)
        else:
            raise RefusalError(
                IncentiveCode.BAD_PLAN,
                f"schedule {self.schedule} is unknown: use EXACT, PERMUTATION or ANTITHETIC",
                field="schedule",
            )
        object.__setattr__(self, "layout", layout)

    @property
    def fixed_samples(self) -> int | None:
        """The number of leaves under EXACT, else None: the miner decides."""
        return self.layout.leaves if isinstance(self.layout, ExactLayout) else None

    @property
    def sample_limit(self) -> int:
        """The most leaves that a miner may claim."""
        return self.fixed_samples or self.max_samples

    @property
    def leaf_length(self) -> int:
        """Utilities in a leaf, m."""
        return self.layout.leaf_length

    @property
    def cycle_length(self) -> int:
        """How many leaves in a row make up for each other's error: best take whole cycles."""
        return self.layout.cycle_length

    @property
    def pair_length(self) -> int:
        """Leaves in a row that belong together most closely (a walk and its reverse), or 1."""
        return self.layout.pair_length

    def denominator(self, samples: int) -> int:
        """By what the total of ``samples`` leaves is divided to give S in right answers."""
        return self.layout.denominator(samples)

    def evaluations(self, samples: int) -> int:
        """How many coalitions ``samples`` leaves stand for."""
        return self.layout.evaluations(samples)

    def coalitions(self, index: int) -> Bools:
        """The coalitions of leaf ``index``: bool (m, n), in the order of its utilities."""
        return self.layout.coalitions(index)

    def mask_implied(self, indices: Sequence[int], utilities: Ints, grand: int) -> Bools:
        """Which utilities of leaves ``indices``, int64 (N, m), nobody needs to evaluate."""
        return self.layout.mask_implied(_column(indices), utilities, grand, self.truncation)

    def fill_implied(self, indices: Sequence[int], utilities: Ints, grand: int, empty: int) -> Ints:
        """``utilities`` (N, m) with the implied ones set to what they must be; a copy."""
        column = _column(indices)
        known = self.layout.mask_implied(column, utilities, grand, self.truncation)
        return np.where(known, self.layout.implied_values(column, grand, empty), utilities)

    def contributions(
        self, indices: Sequence[int], utilities: Ints, grand: int, empty: int
    ) -> Ints:
        """The vectors of leaves ``indices``, int64 (N, n), from canonical utilities (N, m)."""
        return self.layout.contributions(_column(indices), utilities, grand, empty)

    def contribution(
        self, index: int, utilities: Sequence[int], grand: int, empty: int
    ) -> tuple[int, ...]:
        """One leaf's vector, n numbers.

        Raises ``Refusal`` BAD_UTILITY when a utility is above the evaluation size or not what the
        schedule defines, WRONG_LEAVES when there are not m of them.
        """
        checked = self.check_utilities([index], [utilities], grand, empty)
        return tuple(self.contributions([index], checked, grand, empty)[0].tolist())

    def check_utilities(
        self, indices: Sequence[int], rows: Sequence[Sequence[int]], grand: int, empty: int
    ) -> Ints:
        """Claimed utilities of leaves ``indices`` as int64 (N, m), if they are in order.

        Raises ``Refusal`` as ``contribution`` does, naming the leaf.
        """
        for index, row in zip(indices, rows, strict=True):
            if len(row) != self.leaf_length:
                raise RefusalError(
                    IncentiveCode.WRONG_LEAVES,
                    f"leaf {index} has {len(row)} utilities, not {self.leaf_length}",
                    field="leaves.utilities",
                    limit=str(self.leaf_length),
                )
            if not 0 <= min(row) <= max(row) <= self.evaluation_size:
                raise RefusalError(
                    IncentiveCode.BAD_UTILITY,
                    f"leaf {index} claims {max(row)} right answers of {self.evaluation_size}",
                    field="leaves.utilities",
                    limit=str(self.evaluation_size),
                )
        utilities = np.array([list(row) for row in rows], dtype=np.int64)
        utilities = utilities.reshape(len(rows), self.leaf_length)
        wrong = np.argwhere(self.fill_implied(indices, utilities, grand, empty) != utilities)
        if len(wrong):
            row, place = wrong[0].tolist()
            raise RefusalError(
                IncentiveCode.BAD_UTILITY,
                f"leaf {indices[row]}, place {place}: {utilities[row, place]} right answers, where"
                f" the schedule defines them from the grand ({grand}) and the empty ({empty})"
                " coalition",
                field="leaves.utilities",
            )
        return utilities

    def sum_bounds(self, first: Ints, count: Ints, grand: int, empty: int) -> tuple[Ints, Ints]:
        """Lowest and highest sums of groups of ``count`` leaves from ``first``: (S, n) each."""
        return self.layout.sum_bounds(first, count, self.evaluation_size, grand, empty)

    def efficiency_sums(self, first: Ints, count: Ints, grand: int, empty: int) -> Ints:
        """What the clients' sums of such groups must add up to: (S,)."""
        return self.layout.efficiency_sums(first, count, grand, empty)

    def max_leaf_weight_nano(self, samples: int) -> int:
        """How far one leaf of ``samples`` can move a client's value, in nano-utility, rounded up.

        This is what forging a leaf is worth at most: the widest range of its vector.
        """
        leaves = np.arange(min(samples, exact_layout.MAX_LEAVES), dtype=np.int64)
        low, high = self.sum_bounds(leaves, np.ones_like(leaves), self.evaluation_size, 0)
        whole = self.denominator(samples) * self.evaluation_size
        return -(-int((high - low).max()) * NANO // whole)

    def shapley_nano(self, samples: int, total: Sequence[int]) -> tuple[int, ...]:
        """S in nano-utility: total x 10^9 / (denominator x evaluation size).

        Rounded by largest remainder, so that the values add up to
        (grand - empty) x 10^9 / evaluation size to the nearest integer (halves upwards).
        """
        whole = self.denominator(samples) * self.evaluation_size
        return round_to_sum([value * NANO for value in total], whole)


def build_plan(terms: task_pb2.OpenTask, task_id: bytes, public_key: bytes) -> SamplingPlan:
    """The plan of the miner with ``public_key`` (32 bytes) for the task that ``terms`` opened.

    Raises ``Refusal`` as ``SamplingPlan`` does.
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
    )


def _column(indices: Sequence[int]) -> Ints:
    return np.asarray(indices, dtype=np.int64)


def _within(name: str, value: int, lowest: int, highest: int) -> None:
    if not lowest <= value <= highest:
        raise RefusalError(
            IncentiveCode.BAD_PLAN,
            f"{name} is {value}, outside {lowest} to {highest} for this schedule",
            field=name,
            limit=str(lowest if value < lowest else highest),
        )
