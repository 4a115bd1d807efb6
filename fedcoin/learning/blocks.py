"""Blocks of examples, and how many of one's answers are right.

Examples are sorted by label: an answer is right if its output is above those of the lower classes
and not below those of the higher ones, which needs no arg-max (and makes NaN wrong).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from fedcoin.learning.utility import Counts, Shard

Floats = npt.NDArray[np.float32]

MOST_SEGMENTS = 8
"""Labels in a block up to which each is looked at by itself."""


@dataclass(slots=True)
class Block:
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


def blocks_of(
    x: npt.NDArray[np.generic], y: npt.NDArray[np.generic], examples: int, shard: Shard
) -> Iterator[Block]:
    """The shard's blocks of at most so many examples.

    ``x`` is (m, features). Where the cuts are does not depend on how many shards there are.
    """
    order = np.argsort(y, kind="stable")
    for start in range(shard.index * examples, len(y), shard.count * examples):
        chosen = order[start : start + examples]
        labels = y[chosen].astype(np.int64)
        ends = [0, *(np.flatnonzero(np.diff(labels)) + 1).tolist(), len(labels)]
        segments = [(int(labels[begin]), slice(begin, end)) for begin, end in pairwise(ends)]
        yield Block(labels, segments, np.ascontiguousarray(x[chosen].T, np.float32))
