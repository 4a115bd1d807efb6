"""Answers that are within rounding of a tie, and how far an audit accepts them to differ.

An answer is the class of the highest output. Where the two highest outputs are nearly equal, the
order of float sums decides, and machines sum in different orders: sigmoids that are all near 1,
classes with equal weights, and weights on a coarse grid give many such examples. Machines also
compute a sigmoid or an exponential in other ways. So an audit accepts one answer more or less for
each near tie, up to a limit: a model that is made of them must not let a miner claim anything for
this reason.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from fedcoin.learning.measures.losses import flatten_positions
from fedcoin.learning.measures.measure import (
    Facts,
    Measure,
    Outputs,
    Statistics,
    Targets,
    Utilities,
)

TIE_MARGIN: Final = 2.0**-16
"""How far apart the two highest outputs of a near tie are at most, as a part of the example's
largest absolute output: 128 units in the last place of float32. Models of up to a hundred layers
were found to differ by less between NumPy, TensorFlow and onnxruntime (docs/MEASURES.md)."""


MAX_TIES_PER_TEN_THOUSAND: Final = 100
"""An audit accepts no more for near ties than it would with this `utility_tolerance`: 1 % of the
answers."""


@dataclass(frozen=True, slots=True)
class NearTies:
    """Counts near ties. Implements `measure.Measure`, for any evaluation set of labels.

    A model that gives one number for all classes and examples, such as one whose weights are all 0,
    has none: every machine computes it equally.
    """

    num_statistics = 1
    """The number of near ties."""
    needs_values = False
    """False, so that the outputs are those by which a measure of answers decides."""
    step = 1
    """One example is one near tie."""

    @property
    def facts(self) -> Facts:
        """Nothing: the count needs no knowledge of the evaluation set."""
        return np.zeros(0)

    def tolerance(self, num_examples: int, per_ten_thousand: int) -> int:
        """Implement `Measure.tolerance`: 0, as the count is not audited."""
        return 0

    def summarise(self, outputs: Outputs, targets: Targets) -> Statistics:
        """Implement `Measure.summarise`: count the examples, or positions, that are near ties."""
        near = find_near_ties(flatten_positions(outputs, targets)[0])
        counts: Statistics = near.sum(axis=1, dtype=np.int64)[:, None]
        return counts

    def finish(self, statistics: Statistics) -> Utilities:
        """Implement `Measure.finish`: the count itself."""
        return statistics[:, 0]


NEAR_TIES: Final = NearTies()
"""Counts near ties."""


def find_near_ties(outputs: Outputs) -> npt.NDArray[np.bool_]:
    """Find the examples whose answer another order of float sums may change.

    Args:
        outputs: float32 (m, classes, examples).

    Returns:
        Bool (m, examples); False where an output is NaN or both highest are infinite, and
        everywhere with one class.
    """
    if outputs.shape[1] < 2:
        return np.zeros((len(outputs), outputs.shape[2]), np.bool_)
    second, highest = np.partition(outputs, -2, axis=1)[:, -2:].swapaxes(0, 1)
    sizes = np.abs(outputs).max(axis=1)
    with np.errstate(invalid="ignore"):
        near = highest - second <= np.float32(TIE_MARGIN) * sizes
    is_constant = outputs.max(axis=(1, 2)) == outputs.min(axis=(1, 2))
    near[is_constant] = False
    return np.asarray(near)


def explain_ties(ties: int, num_examples: int) -> str:
    """Say what near ties mean for a valuation, where they are many.

    Args:
        ties: The near ties of a model.
        num_examples: The number of examples in the evaluation set.

    Returns:
        A sentence; nothing for less than one example in a thousand.
    """
    if 1000 * ties < num_examples:
        return ""
    return (
        f"{ties} of {num_examples} answers are within rounding of a tie, so that other machines "
        "may answer some of them otherwise: let the model end in logits instead of "
        "saturated outputs, or begin from weights that tell the classes apart"
    )


def accept_ties(
    measure: Measure, ties: Utilities, num_examples: int, per_ten_thousand: int
) -> Utilities:
    """Compute how far an audit accepts that utilities differ from its own, with near ties.

    Args:
        measure: The measure of the utilities.
        ties: The near ties of each coalition's model, int64 (m,).
        num_examples: The number of examples in the evaluation set.
        per_ten_thousand: The network parameter `utility_tolerance`.

    Returns:
        The largest difference for each coalition in units of the utility, int64 (m,): the measure's
        tolerance, and its step for each near tie, up to what the measure tolerates with
        `MAX_TIES_PER_TEN_THOUSAND`. Only the tolerance for measures without a border.
    """
    tolerance = measure.tolerance(num_examples, per_ten_thousand)
    if measure.needs_values:
        return np.full(len(ties), tolerance, np.int64)
    most = max(tolerance, measure.tolerance(num_examples, MAX_TIES_PER_TEN_THOUSAND))
    return np.minimum(tolerance + measure.step * ties, most)
