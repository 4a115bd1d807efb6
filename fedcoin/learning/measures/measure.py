"""What every measure has: the arrays it works on, and its two steps."""

from __future__ import annotations

from typing import Protocol

import numpy as np
import numpy.typing as npt

Outputs = npt.NDArray[np.float32]
"""float32 (m, classes, examples): the outputs of m models, as their last layers give them."""

Targets = npt.NDArray[np.generic]
"""What the model should answer: integer labels (examples,), or float32 numbers of regression."""

Statistics = npt.NDArray[np.int64]
"""int64 (m, k): k sums over examples for each of m models. Sums of several sets of examples add
up to those of all of them."""

Utilities = npt.NDArray[np.int64]
"""int64 (m,): the utility of each of m models, 0 to `scale.largest_utility`."""

Facts = npt.NDArray[np.float64]
"""float64 (f,): what a measure must know about the whole evaluation set, such as the number of
examples of each class. With them a process that has no examples can finish statistics."""


class Measure(Protocol):
    """A measure of a model, for one evaluation set."""

    @property
    def facts(self) -> Facts:
        """What the measure knows about the evaluation set."""
        ...

    @property
    def num_statistics(self) -> int:
        """How many sums it takes for each model, k."""
        ...

    @property
    def needs_values(self) -> bool:
        """Whether the outputs' values matter, not only their order.

        For a measure that does not need them, an evaluator may leave out a final softmax and
        multiply all outputs of an example by one positive factor.
        """
        ...

    @property
    def step(self) -> int:
        """How far one example may move the utility, from the worst answer to the best.

        In units of the utility: right answers for the accuracy, millionths for other measures.
        """
        ...

    def tolerance(self, num_examples: int, per_ten_thousand: int) -> int:
        """Compute how far an audit accepts that a utility differs from its own.

        Args:
            num_examples: The number of examples in the evaluation set.
            per_ten_thousand: The network parameter `utility_tolerance`, in hundredths of a percent
                of the answers.

        Returns:
            The largest difference, in units of the utility.
        """
        ...

    def summarise(self, outputs: Outputs, targets: Targets) -> Statistics:
        """Sum up what models answer for some examples.

        Args:
            outputs: float32 (m, classes, examples).
            targets: What they should answer, one row for each example.

        Returns:
            The k sums of each of the m models, int64 (m, k).
        """
        ...

    def finish(self, statistics: Statistics) -> Utilities:
        """Turn sums over the whole evaluation set into utilities.

        Args:
            statistics: The k sums of each of the m models, int64 (m, k).

        Returns:
            The utility of each of the m models, int64 (m,).
        """
        ...
