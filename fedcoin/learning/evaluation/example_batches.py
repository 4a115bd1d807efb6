"""Blocks of examples, and how many of one's answers are right.

Examples are sorted by label: an answer is right if its output is above those of the lower classes
and not below those of the higher ones, which needs no arg-max (and makes NaN wrong).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Protocol

import numpy as np
import numpy.typing as npt

from fedcoin.learning.evaluation.job import Coalitions, Counts, ExampleShare, UtilityJob
from fedcoin.v1 import task_pb2

Floats = npt.NDArray[np.float32]


class Inputs(Protocol):
    """The inputs of examples (m, ...): an array, or something like it that stays in its file."""

    @property
    def shape(self) -> tuple[int, ...]:
        """(m, ...)."""
        ...

    def __len__(self) -> int: ...

    def __getitem__(self, places: slice | npt.NDArray[np.int64], /) -> npt.NDArray[np.generic]: ...


MOST_SEGMENTS = 8
"""Labels in a block up to which each is looked at by itself."""


@dataclass(slots=True)
class ExampleBatch:
    """Examples sorted by label, inputs (features, examples)."""

    labels: npt.NDArray[np.int64]
    segments: list[tuple[int, slice]]
    """Each label that is there, and where."""
    x: Floats | None
    parts: Floats | None = None
    """What an evaluator computes once and keeps."""

    def right_answers(self, outputs: Floats) -> Counts:
        """Of each row of outputs (m, classes, examples): how many are highest at the label.

        The first of equals counts as the highest. int64 (m,).
        """
        right = (
            self._by_segments(outputs)
            if len(self.segments) <= MOST_SEGMENTS
            else self._by_highest(outputs)
        )
        counts: Counts = right.sum(axis=1, dtype=np.int64)
        return counts

    def _by_segments(self, outputs: Floats) -> npt.NDArray[np.bool_]:
        right = np.empty((len(outputs), len(self.labels)), np.bool_)
        for label, where in self.segments:
            values = outputs[:, :, where]
            own = values[:, label]
            if label == 0:
                right[:, where] = ~np.isnan(own)
            else:
                np.less(np.maximum.reduce(values[:, :label], axis=1), own, out=right[:, where])
            if label + 1 < outputs.shape[1]:
                right[:, where] &= np.maximum.reduce(values[:, label + 1 :], axis=1) <= own
        return right

    def _by_highest(self, outputs: Floats) -> npt.NDArray[np.bool_]:
        own = outputs[:, self.labels, np.arange(len(self.labels))]
        right: npt.NDArray[np.bool_] = outputs.argmax(axis=1) == self.labels
        return right & ~np.isnan(own)


def make_batches(
    x: Inputs, y: npt.NDArray[np.generic], examples: int, shard: ExampleShare
) -> Iterator[ExampleBatch]:
    """The shard's blocks of at most so many examples.

    ``x`` is (m, ...). Where the cuts are does not depend on how many shards there are.
    """
    order = np.argsort(y, kind="stable")
    for start in range(shard.index * examples, len(y), shard.count * examples):
        chosen = order[start : start + examples]
        labels = y[chosen].astype(np.int64)
        ends = [0, *(np.flatnonzero(np.diff(labels)) + 1).tolist(), len(labels)]
        segments = [(int(labels[begin]), slice(begin, end)) for begin, end in pairwise(ends)]
        inputs = x[chosen].reshape(len(chosen), -1)
        yield ExampleBatch(labels, segments, np.ascontiguousarray(inputs.T, np.float32))


def keep_parts(
    blocks: Sequence[ExampleBatch], make: Callable[[ExampleBatch], Floats], most: int
) -> bool:
    """Make each block's parts, in place of its inputs, as long as they take at most so many bytes.

    Returns whether all of them are there.
    """
    kept = 0
    for block in blocks:
        parts = make(block)
        kept += parts.nbytes
        if kept > most:
            return False
        block.parts, block.x = parts, None
    return True


def count_in_chunks(
    job: UtilityJob, coalitions: Coalitions, most: int, count: Callable[[Coalitions], Counts]
) -> Counts:
    """What ``count`` says of each coalition (int64, (m,)), asked about some at a time.

    The coalition of nobody is worth 0, and is not asked about, if the job says so.
    """
    counts = np.zeros(len(coalitions), np.int64)
    nobody = ~coalitions.any(axis=1)
    skip = nobody & (job.empty == task_pb2.EMPTY_COALITION_ZERO)
    places = np.flatnonzero(~skip)
    step = max(1, most)
    for begin in range(0, len(places), step):
        part = places[begin : begin + step]
        with np.errstate(all="ignore"):  # what overflows is merely wrong
            counts[part] = count(coalitions[part])
    return counts
