"""The measure of each `Utility` of task.proto, for an evaluation set."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final

import numpy as np

from fedcoin.learning.measures import ranking, regression
from fedcoin.learning.measures.class_rates import BalancedAccuracy, MacroF1, count_labels
from fedcoin.learning.measures.losses import LogLoss, Perplexity
from fedcoin.learning.measures.measure import Facts, Measure, Targets
from fedcoin.learning.measures.right_answers import ACCURACY
from fedcoin.learning.measures.tokens import NextTokenAccuracy
from fedcoin.v1 import task_pb2

PROBABILITY_UTILITIES: Final = frozenset(
    {task_pb2.UTILITY_AUC, task_pb2.UTILITY_LOG_LOSS, task_pb2.UTILITY_PERPLEXITY}
)
"""The measures for which `bind_measure` must know whether a model gives probabilities."""


def bind_measure(
    utility: int, targets: Targets, num_classes: int, *, are_probabilities: bool = True
) -> Measure:
    """Create the measure of a utility for an evaluation set.

    Args:
        utility: A value of the enum `Utility`, one that `terms.TERMS` lists.
        targets: The targets of the whole evaluation set, checked by `artifact_checks`.
        num_classes: How many outputs the model has.
        are_probabilities: Whether the outputs are probabilities, otherwise logits; used by
            `PROBABILITY_UTILITIES` only.

    Returns:
        A measure whose facts describe the whole evaluation set, also when it sums up a part of it.
    """
    describe: dict[int, Callable[[], Facts]] = {
        task_pb2.UTILITY_ACCURACY: lambda: np.zeros(0),
        task_pb2.UTILITY_BALANCED_ACCURACY: lambda: count_labels(targets, num_classes),
        task_pb2.UTILITY_MACRO_F1: lambda: count_labels(targets, num_classes),
        task_pb2.UTILITY_AUC: lambda: ranking.describe_classes(
            targets, num_classes, are_probabilities=are_probabilities
        ),
        task_pb2.UTILITY_LOG_LOSS: lambda: _describe_labels(targets, are_probabilities),
        task_pb2.UTILITY_MEAN_SQUARED_ERROR: lambda: regression.describe_range(targets),
        task_pb2.UTILITY_R_SQUARED: lambda: regression.describe_variation(targets),
        task_pb2.UTILITY_NEXT_TOKEN_ACCURACY: lambda: _describe_labels(targets),
        task_pb2.UTILITY_PERPLEXITY: lambda: _describe_labels(targets, are_probabilities),
    }
    return restore_measure(utility, describe[utility]())


def restore_measure(utility: int, facts: Facts) -> Measure:
    """Create a measure from what another process found out about the evaluation set.

    Args:
        utility: A value of the enum `Utility`, one that `terms.TERMS` lists.
        facts: The `Measure.facts` of the other process' measure.

    Returns:
        A measure equal to the other process'.
    """
    return _MEASURES[utility](facts)


def _describe_labels(labels: Targets, are_probabilities: bool = False) -> Facts:
    """Count the labels that are not negative; and say whether outputs are probabilities."""
    return np.array([float((labels.astype(np.int64) >= 0).sum()), float(are_probabilities)])


_MEASURES: Mapping[int, Callable[[Facts], Measure]] = MappingProxyType(
    {
        task_pb2.UTILITY_ACCURACY: lambda facts: ACCURACY,
        task_pb2.UTILITY_BALANCED_ACCURACY: BalancedAccuracy,
        task_pb2.UTILITY_MACRO_F1: MacroF1,
        task_pb2.UTILITY_AUC: ranking.AreaUnderCurve,
        task_pb2.UTILITY_LOG_LOSS: LogLoss,
        task_pb2.UTILITY_MEAN_SQUARED_ERROR: regression.MeanSquaredError,
        task_pb2.UTILITY_R_SQUARED: regression.RSquared,
        task_pb2.UTILITY_NEXT_TOKEN_ACCURACY: NextTokenAccuracy,
        task_pb2.UTILITY_PERPLEXITY: Perplexity,
    }
)
