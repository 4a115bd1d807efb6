"""Change weights by a few roundings, to see how far a utility depends on the order of float sums.

A sum of products that is computed in another order is the exact sum for weights that differ by a
few roundings (backward error; Higham, *Accuracy and Stability of Numerical Algorithms*, 2nd ed.,
section 3.1). So a model whose utility changes with such weights answers by rounding errors, for
whatever reason: large weights that cancel, or answers that nearly tie.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

import numpy as np

from fedcoin.learning.evaluation.job import Coalitions, UtilityJob
from fedcoin.learning.measures.measure import Measure
from fedcoin.learning.measures.near_ties import accept_ties
from fedcoin.learning.model.aggregation import Weights
from fedcoin.v1 import task_pb2

RELATIVE_CHANGE: Final = 2.0**-22
"""By which part of itself a weight is changed, before it is rounded: two to four units in its last
place. Sums in another order err by less, so that what they can flip is flipped in many draws."""


USUAL_TOLERANCE: Final = 2
"""The network parameter `utility_tolerance` of networks that set no other: what a user is told of
is what their audits would not accept without looking into it."""

VARIANTS: Final[Coalitions] = np.array([[False, False], [True, False], [False, True], [True, True]])
"""The coalitions of a job of `vary_digits`: models that differ in the last digits of weights."""


def vary_digits(job: UtilityJob) -> UtilityJob:
    """Describe a job all of whose coalitions are one model, with other last digits of its weights.

    Args:
        job: A job whose only update is the model.

    Returns:
        A job of two clients, whose coalitions are `VARIANTS`.
    """
    return replace(
        job,
        base=job.updates[0],
        updates=job.updates * 2,
        num_samples=(1, 1),
        averaging=task_pb2.AVERAGING_RENORMALISED,
        empty=task_pb2.EMPTY_COALITION_BASE_MODEL,
        rounding=1,
    )


def explain_spread(
    measure: Measure, spread: int, ties: int, num_examples: int, largest: int
) -> str:
    """Say what it means that a utility depends on the last digits of weights, where it does.

    Args:
        measure: The measure of the utility.
        spread: By how much the utility of one model differed between several last digits.
        ties: The near ties of that model (`measures.near_ties`).
        num_examples: The number of examples in the evaluation set.
        largest: The largest utility.

    Returns:
        A sentence; nothing for a difference that every audit accepts.
    """
    if spread <= accept_ties(measure, np.array([ties]), num_examples, USUAL_TOLERANCE)[0]:
        return ""
    return (
        f"the utility changes by {100 * spread / largest:.3g} % of its range with the last digits "
        "of the weights, so that other machines may find other values: the model magnifies "
        "rounding errors. Begin from weights whose outputs stay small (trained ones, or smaller "
        "random ones), normalise the inputs, or let clients train with a lower learning rate"
    )


def change_weights(weights: Weights, seed: int, model: int) -> Weights:
    """Multiply each weight by 1 + `RELATIVE_CHANGE` or 1 - `RELATIVE_CHANGE`.

    Args:
        weights: float32 weights by name.
        seed: Chooses the signs, from 1; 0 changes nothing.
        model: The index of the model among those of the job, which has signs of its own; one
            behind the last for frozen weights.

    Returns:
        float32 weights by name.
    """
    if not seed:
        return weights
    generator = np.random.default_rng([seed, model])
    changed = {}
    for name, array in weights.items():
        signs = generator.integers(0, 2, array.shape, dtype=np.int8)
        factors = np.float32(1) + np.float32(RELATIVE_CHANGE) * (2 * signs - 1).astype(np.float32)
        changed[name] = array.astype(np.float32) * factors
    return changed
