"""Golden vectors of the measures: outputs of two models, targets, and each measure's utilities."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from fedcoin.learning.measures.choice import bind_measure
from fedcoin.learning.measures.terms import TERMS, largest_utility
from fedcoin.v1 import task_pb2

LABELS = [0, 0, 0, 0, 0, 1, 1, 2]
"""The label of each of eight examples."""

SIXTEENTHS = [
    [[9, 5, 1, 12, 6, 2, 3, 4], [5, 6, 1, 2, 6, 11, 5, 4], [2, 5, 14, 2, 4, 3, 8, 8]],
    [[16, 8, 8, 5, 6, 8, 8, 5], [0, 4, 4, 6, 5, 4, 4, 6], [0, 4, 4, 5, 5, 4, 4, 5]],
]
"""Probabilities of two models, in sixteenths: three classes, eight examples."""

NUMBERS = [0.5, -1.25, 3.0, 2.5, 0.0, 4.75, -2.0, 1.5]
"""The targets of regression."""

ESTIMATES = [[0.75, -1.0, 2.5, 2.5, 0.5, 4.0, -1.0, 1.25], [1.125] * 8]
"""The outputs of two models of regression."""


def measures() -> dict[str, Any]:
    """Measure two models by everything.

    Returns:
        The examples, and for each measure the statistics' sums, the step and the utilities.
    """
    probabilities = (np.array(SIXTEENTHS) / 16).astype(np.float32)
    estimates = np.array(ESTIMATES, np.float32)[:, None]
    labels, numbers = np.array(LABELS), np.array(NUMBERS, np.float32)
    found = {}
    for utility, terms in TERMS.items():
        if utility in (task_pb2.UTILITY_MEAN_SQUARED_ERROR, task_pb2.UTILITY_R_SQUARED):
            found[terms.name] = _measure(utility, estimates, numbers)
        else:
            found[terms.name] = _measure(utility, probabilities, labels)
    return {
        "labels": LABELS,
        "probabilities_in_sixteenths": SIXTEENTHS,
        "targets": NUMBERS,
        "estimates": ESTIMATES,
        "measures": found,
    }


def _measure(
    utility: int, outputs: npt.NDArray[np.float32], targets: npt.NDArray[Any]
) -> dict[str, Any]:
    measure = bind_measure(utility, targets, outputs.shape[1])
    with np.errstate(divide="ignore"):  # the logarithm of a probability of 0
        statistics = measure.summarise(outputs, targets)
    return {
        "largest": largest_utility(utility, len(targets)),
        "step": measure.step,
        "statistics": statistics.shape[1],
        "utilities": measure.finish(statistics).tolist(),
    }
