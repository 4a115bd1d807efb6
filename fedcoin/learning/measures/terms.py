"""What the utilities of task.proto are called, how large they are, and how they read.

A utility is an integer from 0 to `largest_utility`, and grows with the model's quality. The
accuracy counts right answers, so its largest value is the size of the evaluation set. All others
are in millionths of their best value, whatever the size of the set: an area under a curve is a
fraction of as many as 2.5 * 10^13 pairs, which would fit neither 32 bits nor the sums of evidence.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from fedcoin.v1 import task_pb2

MILLIONTHS: Final = 1_000_000
"""The largest utility of every measure but the accuracy."""

LOSS_CLIP: Final = 16.0
"""The largest log-loss of one example, in nats: the right class has the probability 1.1e-7, about
the distance of float32 numbers below 1."""


@dataclass(frozen=True, slots=True)
class MeasureTerms:
    """How a measure is named and read."""

    utility: task_pb2.Utility.ValueType
    """A value of the enum `Utility` in task.proto."""
    name: str
    """The name for options and settings, such as "macro-f1"."""
    title: str
    """What is printed before a value or above a column, such as "macro F1"."""
    format_fraction: Callable[[float], str]
    """Formats a utility that is given as a fraction of the largest one, 0 to 1."""
    hundredth: str
    """What 0.01 of the largest utility is in the measure's own unit, such as "one percentage point
    of accuracy"."""


def _percent(fraction: float) -> str:
    return f"{100 * fraction:.1f} %"


def _decimal(fraction: float) -> str:
    return f"{fraction:.4f}"


def _nats(fraction: float) -> str:
    return f"{LOSS_CLIP * (1 - fraction):.4f} nats"


def _perplexity(fraction: float) -> str:
    return f"{1 / fraction:.2f}" if fraction > 0 else f"above {MILLIONTHS:,}"


def _error_of_range(fraction: float) -> str:
    return f"{100 * (1 - fraction):.3f} % of the range squared"


_ALL = (
    MeasureTerms(
        task_pb2.UTILITY_ACCURACY,
        "accuracy",
        "accuracy",
        _percent,
        "one percentage point of accuracy",
    ),
    MeasureTerms(
        task_pb2.UTILITY_BALANCED_ACCURACY,
        "balanced-accuracy",
        "balanced accuracy",
        _percent,
        "one percentage point of balanced accuracy",
    ),
    MeasureTerms(task_pb2.UTILITY_MACRO_F1, "macro-f1", "macro F1", _decimal, "0.01 of macro F1"),
    MeasureTerms(
        task_pb2.UTILITY_AUC,
        "auc",
        "area under the ROC curve",
        _decimal,
        "0.01 of the area under the ROC curve",
    ),
    MeasureTerms(
        task_pb2.UTILITY_LOG_LOSS, "log-loss", "log-loss", _nats, "a log-loss lower by 0.16 nats"
    ),
    MeasureTerms(
        task_pb2.UTILITY_MEAN_SQUARED_ERROR,
        "mean-squared-error",
        "mean squared error",
        _error_of_range,
        "a mean squared error lower by 1 % of the range squared",
    ),
    MeasureTerms(
        task_pb2.UTILITY_R_SQUARED, "r-squared", "R squared", _decimal, "0.01 of R squared"
    ),
    MeasureTerms(
        task_pb2.UTILITY_NEXT_TOKEN_ACCURACY,
        "next-token-accuracy",
        "next-token accuracy",
        _percent,
        "one percentage point of next-token accuracy",
    ),
    MeasureTerms(
        task_pb2.UTILITY_PERPLEXITY,
        "perplexity",
        "perplexity",
        _perplexity,
        "0.01 of the inverse of the perplexity",
    ),
)

TERMS: Final[Mapping[int, MeasureTerms]] = MappingProxyType(
    {terms.utility: terms for terms in _ALL}
)
"""The measures by `Utility`."""

NAMES: Final[Mapping[str, task_pb2.Utility.ValueType]] = MappingProxyType(
    {terms.name: terms.utility for terms in _ALL}
)
"""The utilities by the names of options and settings."""

TARGET_UTILITIES: Final = frozenset(
    {task_pb2.UTILITY_MEAN_SQUARED_ERROR, task_pb2.UTILITY_R_SQUARED}
)
"""The measures of regression, whose evaluation sets hold float32 targets."""

TOKEN_UTILITIES: Final = frozenset(
    {task_pb2.UTILITY_NEXT_TOKEN_ACCURACY, task_pb2.UTILITY_PERPLEXITY}
)
"""The measures of language models, whose evaluation sets may hold a label for each position."""


def largest_utility(utility: int, evaluation_size: int) -> int:
    """Return the largest value of a utility.

    Args:
        utility: A value of the enum `Utility` in task.proto.
        evaluation_size: The number of examples in the evaluation set.

    Returns:
        The number of examples with the accuracy, otherwise `MILLIONTHS`.
    """
    return evaluation_size if utility == task_pb2.UTILITY_ACCURACY else MILLIONTHS


def format_utility(utility: int, value: int, evaluation_size: int) -> str:
    """Format a utility for a person.

    Args:
        utility: A value of the enum `Utility` in task.proto.
        value: The utility, 0 to `largest_utility`.
        evaluation_size: The number of examples in the evaluation set.

    Returns:
        The value in the measure's own unit, such as "81.2 %" or "0.3120 nats".
    """
    return TERMS[utility].format_fraction(value / largest_utility(utility, evaluation_size))
