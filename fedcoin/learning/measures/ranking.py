"""The area under the ROC curve: how well a model ranks examples of a class above the others.

The area for a class is the part of the pairs (an example of the class, one of another class) in
which the first has the higher score; a pair of equal scores counts half. With two classes it is the
area for class 1, with more the mean over the classes that occur (one against the rest).

The score is the log-odds of the class, clipped to -16 to 16 and rounded down to a multiple of 1/32:
a pair whose odds differ by less than about 3 % may count as equal. So the pairs of a whole set
follow from two histograms of `NUM_BINS` bins for each class, which add up over examples. A NaN has
the lowest score. The result is in millionths, rounded down.

Source: Hanley, McNeil, "The meaning and use of the area under a receiver operating characteristic
(ROC) curve", Radiology 143 (1982), for the area as a part of pairs.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from fedcoin.learning.measures.class_scores import Scores, log_odds
from fedcoin.learning.measures.measure import Facts, Outputs, Statistics, Targets, Utilities
from fedcoin.learning.measures.terms import MILLIONTHS
from fedcoin.learning.measures.tolerances import tolerate_mean

SCORE_CLIP: Final = 16
"""Scores are log-odds; those beyond plus or minus this count as this."""

BINS_PER_UNIT: Final = 32
"""How many bins of a histogram divide a score's range of 1."""

NUM_BINS: Final = 2 * SCORE_CLIP * BINS_PER_UNIT
"""Bins of a histogram of scores."""

MAX_AUC_CLASSES: Final = 100
"""The largest number of classes; their histograms take 1.6 MB for each coalition."""


@dataclass(frozen=True, slots=True, eq=False)
class AreaUnderCurve:
    """The area under the ROC curve. Implements `measure.Measure`."""

    facts: Facts
    """float64 (1 + classes,): whether outputs are probabilities, 1 or 0, then the number of
    examples of each class."""

    needs_values = True

    @property
    def _ranked(self) -> list[int]:
        """The classes whose areas are averaged."""
        counts = self.facts[1:]
        return [1] if len(counts) == 2 else np.flatnonzero(counts).tolist()

    @property
    def num_statistics(self) -> int:
        """For each ranked class the histogram of its examples, then that of the others."""
        return 2 * NUM_BINS * len(self._ranked)

    @property
    def step(self) -> int:
        """How far one example would move a mean over examples, in millionths."""
        return -(-MILLIONTHS // int(self.facts[1:].sum()))

    def tolerance(self, num_examples: int, per_ten_thousand: int) -> int:
        """Implement `Measure.tolerance`: that of a mean over the examples."""
        return tolerate_mean(num_examples, per_ten_thousand)

    def summarise(self, outputs: Outputs, targets: Targets) -> Statistics:
        """Implement `Measure.summarise`: make histograms of the scores."""
        histograms = []
        for index in self._ranked:
            scores = log_odds(outputs, index, are_probabilities=bool(self.facts[0]))
            bins = _find_bins(scores)
            is_class = targets == index
            histograms += [_count_bins(bins[:, is_class]), _count_bins(bins[:, ~is_class])]
        return np.concatenate(histograms, axis=1)

    def finish(self, statistics: Statistics) -> Utilities:
        """Implement `Measure.finish`: the mean area of the ranked classes."""
        histograms = statistics.reshape(len(statistics), -1, 2, NUM_BINS)
        total = np.zeros(len(statistics), np.int64)
        for index in range(histograms.shape[1]):
            total += _area(histograms[:, index, 0], histograms[:, index, 1])
        return total // histograms.shape[1]


def describe_classes(labels: Targets, num_classes: int, *, are_probabilities: bool) -> Facts:
    """Compute what the area needs to know about the evaluation set (`AreaUnderCurve.facts`).

    Args:
        labels: The label of each example, integers (examples,) from 0.
        num_classes: The number of classes.
        are_probabilities: Whether the model's outputs are probabilities, otherwise logits.

    Returns:
        float64 (1 + num_classes,): 1 for probabilities or 0 for logits, then the number of examples
        of each class.
    """
    counts = np.bincount(labels.astype(np.int64), minlength=num_classes)
    return np.concatenate([[float(are_probabilities)], counts.astype(np.float64)])


def _find_bins(scores: Scores) -> npt.NDArray[np.int64]:
    """Find each score's bin, int64 (m, examples), 0 to NUM_BINS - 1."""
    low = np.nan_to_num(scores, nan=-np.inf, posinf=np.inf, neginf=-np.inf)
    shifted = np.floor((np.clip(low, -SCORE_CLIP, SCORE_CLIP) + SCORE_CLIP) * BINS_PER_UNIT)
    bins: npt.NDArray[np.int64] = np.minimum(shifted, NUM_BINS - 1).astype(np.int64)
    return bins


def _count_bins(bins: npt.NDArray[np.int64]) -> Statistics:
    """Make each row's histogram, int64 (m, NUM_BINS)."""
    cells = bins + NUM_BINS * np.arange(len(bins))[:, None]
    counted = np.bincount(cells.reshape(-1), minlength=NUM_BINS * len(bins))
    return counted.reshape(len(bins), NUM_BINS).astype(np.int64)


def _area(positives: Statistics, negatives: Statistics) -> Utilities:
    """Compute the area from histograms (m, NUM_BINS), in millionths, int64 (m,)."""
    below = np.cumsum(negatives, axis=1) - negatives
    # Twice the pairs, at most 5 * 10^13; times a million only as Python's integers.
    doubled = (positives * (2 * below + negatives)).sum(axis=1)
    pairs = positives.sum(axis=1) * negatives.sum(axis=1)
    areas = [
        MILLIONTHS * twice // (2 * all_pairs) if all_pairs else 0
        for twice, all_pairs in zip(doubled.tolist(), pairs.tolist(), strict=True)
    ]
    return np.array(areas, np.int64)
