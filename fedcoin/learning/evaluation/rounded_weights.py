"""Change weights by a few roundings, to see how far a utility depends on the order of float sums.

A sum of products that is computed in another order is the exact sum for weights that differ by a
few roundings (backward error; Higham, *Accuracy and Stability of Numerical Algorithms*, 2nd ed.,
section 3.1). So a model whose utility changes with such weights answers by rounding errors, for
whatever reason: large weights that cancel, or answers that nearly tie.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from fedcoin.learning.model.aggregation import Weights

RELATIVE_CHANGE: Final = 2.0**-22
"""By which part of itself a weight is changed, before it is rounded: two to four units in its last
place. Sums in another order err by less, so that what they can flip is flipped in many draws."""


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
