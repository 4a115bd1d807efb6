"""Batches of evaluation examples, and the statistics of a model's outputs for them.

Within a batch, arrays lie as (features, examples), so that every product and every comparison runs
along the examples. The examples are sorted by label. An answer is correct when its output at the
label is above those of the lower classes and not below those of the higher ones: comparisons of
whole ranges of examples, without an argmax, in which NaN counts as wrong.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Protocol

import numpy as np
import numpy.typing as npt

from fedcoin.learning.evaluation.job import Counts, ExampleShare
from fedcoin.learning.measures.measure import Measure, Statistics
from fedcoin.learning.measures.right_answers import Accuracy, find_right

Floats = npt.NDArray[np.float32]


class Inputs(Protocol):
    """The inputs of m examples: an array in memory, or one that stays in its file until read."""

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape: the number of examples m, then the shape of one example."""
        ...

    def __len__(self) -> int: ...

    def __getitem__(self, rows: slice | npt.NDArray[np.int64], /) -> npt.NDArray[np.generic]: ...


_MAX_LABEL_RANGES = 8
"""Batches with more labels than this are counted by argmax, which is faster for them."""


@dataclass(slots=True)
class ExampleBatch:
    """Examples, sorted by label where each has one."""

    targets: npt.NDArray[np.generic]
    """What the examples' answers should be: int64 labels (examples,), rising, or other targets of a
    measure, one row for each example."""
    label_ranges: list[tuple[int, slice]]
    """Each label that occurs, and the examples that have it; none where targets are not labels."""
    inputs: Floats | None
    """float32 (features, examples); None once `precomputed` replaces it."""
    precomputed: Floats | None = None
    """Values that an evaluator computes once from the inputs and uses for every coalition."""

    def summarise(self, measure: Measure, outputs: Floats) -> Statistics:
        """Sum up what models answer for these examples.

        Args:
            measure: The measure of the job, which sums up the outputs.
            outputs: float32 (m, classes, examples): the outputs of m models.

        Returns:
            int64 (m, k): the k sums over these examples that the measure takes of each model.
        """
        if isinstance(measure, Accuracy):
            return self.count_correct(outputs)[:, None]
        return measure.summarise(outputs, self.targets)

    def count_correct(self, outputs: Floats) -> Counts:
        """Count the examples whose highest output is at their label.

        Args:
            outputs: float32 (m, classes, examples): the outputs of m models.

        Returns:
            int64 (m,): the right answers of each model. The lowest class of several equal outputs
            counts as the highest.
        """
        correct = (
            self._correct_by_ranges(outputs)
            if len(self.label_ranges) <= _MAX_LABEL_RANGES
            else find_right(outputs, self.targets)
        )
        counts: Counts = correct.sum(axis=1, dtype=np.int64)
        return counts

    def _correct_by_ranges(self, outputs: Floats) -> npt.NDArray[np.bool_]:
        correct = np.empty((len(outputs), len(self.targets)), np.bool_)
        for label, examples in self.label_ranges:
            values = outputs[:, :, examples]
            own = values[:, label]
            if label == 0:
                correct[:, examples] = ~np.isnan(own)
            else:
                lower = np.maximum.reduce(values[:, :label], axis=1)
                np.less(lower, own, out=correct[:, examples])
            if label + 1 < outputs.shape[1]:
                higher = np.maximum.reduce(values[:, label + 1 :], axis=1)
                correct[:, examples] &= higher <= own
        return correct


def make_batches(
    x: Inputs, y: npt.NDArray[np.generic], batch_size: int, share: ExampleShare
) -> Iterator[ExampleBatch]:
    """Sort the examples by label, where each has one, and cut them into batches.

    Args:
        x: Inputs (m, ...); those of the share's batches are read, flattened, as float32.
        y: Labels, integers of any dtype, (m,), or other targets (m, ...).
        batch_size: Examples in each batch but the last.
        share: The part of the batches to make.

    Yields:
        The share's batches. The cuts do not depend on the number of shares.
    """
    has_labels = y.ndim == 1 and y.dtype.kind in "iu"
    order = np.argsort(y, kind="stable") if has_labels else np.arange(len(y))
    for start in range(share.index * batch_size, len(y), share.num_shares * batch_size):
        rows = order[start : start + batch_size]
        targets = y[rows].astype(np.int64) if has_labels else y[rows]
        inputs = x[rows].reshape(len(rows), -1)
        ranges = _label_ranges(targets) if has_labels else []
        yield ExampleBatch(targets, ranges, np.ascontiguousarray(inputs.T, np.float32))


def _label_ranges(labels: npt.NDArray[np.generic]) -> list[tuple[int, slice]]:
    ends = [0, *(np.flatnonzero(np.diff(labels)) + 1).tolist(), len(labels)]
    return [(int(labels[begin]), slice(begin, end)) for begin, end in pairwise(ends)]


def precompute(
    batches: Sequence[ExampleBatch], compute: Callable[[ExampleBatch], Floats], max_bytes: int
) -> bool:
    """Replace the inputs of each batch by values that an evaluator computes from them once.

    Args:
        batches: The batches, which are changed: `precomputed` is set and `inputs` dropped.
        compute: Computes these values from a batch.
        max_bytes: The limit on the bytes of all these values. Batches beyond it are not changed.

    Returns:
        Whether all batches fit.
    """
    total_bytes = 0
    for batch in batches:
        array = compute(batch)
        total_bytes += array.nbytes
        if total_bytes > max_bytes:
            return False
        batch.precomputed, batch.inputs = array, None
    return True
