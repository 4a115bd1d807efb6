"""How far two honest machines may differ about a utility, in units of the utility.

The order of float sums differs between machines. Where an answer is a choice between classes, a few
examples that lie on a border change sides, and each moves the utility by its whole weight. Where
the utility is a smooth function of the outputs, all examples move, but only by their rounding. A
miner may claim what an honest one may find, so that a tolerance is also how far it can lean a
utility.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt

from fedcoin.learning.measures.terms import MILLIONTHS

SMOOTH_MILLIONTHS: Final = 25
"""Millionths of a smooth utility for each unit of the network parameter `utility_tolerance`."""


def count_borderline(num_answers: int, per_ten_thousand: int) -> int:
    """Count the answers that may differ between machines.

    Args:
        num_answers: The answers of the evaluation set, at least 0.
        per_ten_thousand: The network parameter `utility_tolerance`, in hundredths of a percent of
            the answers.

    Returns:
        The number of answers that the parameter allows, rounded up.
    """
    return -(-num_answers * per_ten_thousand // 10_000)


def tolerate_mean(num_answers: int, per_ten_thousand: int) -> int:
    """Compute the tolerance of a mean over answers that are right or wrong.

    Args:
        num_answers: The answers of the evaluation set, at least 1.
        per_ten_thousand: The network parameter `utility_tolerance`, in hundredths of a percent.

    Returns:
        The part of the mean that the borderline answers make up, in millionths, rounded up.
    """
    return -(-count_borderline(num_answers, per_ten_thousand) * MILLIONTHS // num_answers)


def tolerate_smooth(per_ten_thousand: int) -> int:
    """Compute the tolerance of a smooth function of the outputs, such as a mean loss.

    Args:
        per_ten_thousand: The network parameter `utility_tolerance`, in hundredths of a percent.

    Returns:
        The largest accepted difference in millionths: `SMOOTH_MILLIONTHS` times the parameter,
        whatever the number of examples.
    """
    return SMOOTH_MILLIONTHS * per_ten_thousand


def tolerate_classes(counts: npt.NDArray[np.int64], per_ten_thousand: int, effects: int = 1) -> int:
    """Compute the tolerance of a mean over classes.

    As many answers may differ as in a mean over examples, and in each class no more than its own
    part of them: otherwise the tolerance of a large set would be all spent on its rarest class.

    Args:
        counts: The examples of each class, int64 (classes,), one of them at least 1.
        per_ten_thousand: The network parameter `utility_tolerance`, in hundredths of a percent.
        effects: By how many times 1 / (examples of the class) one answer moves a class' rate.

    Returns:
        The largest change that these answers make, in millionths, rounded up; at most all.
    """
    occurring = sorted(count for count in counts.tolist() if count)
    left = count_borderline(sum(occurring), per_ten_thousand)
    parts = 0
    for count in occurring:
        differing = min(left, count_borderline(count, per_ten_thousand), count)
        parts += min(MILLIONTHS, -(-MILLIONTHS * effects * differing // count))
        left -= differing
    return -(-parts // len(occurring))
