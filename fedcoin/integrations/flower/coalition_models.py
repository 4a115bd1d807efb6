"""The models of coalitions: averages of the arrays that some clients of a round trained."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from flwr.app import Array, ArrayRecord

Arrays = Mapping[str, npt.NDArray[Any]]
"""A model's arrays by key."""


class CoalitionModels:
    """Averages a round's arrays over coalitions, in each array's own dtype.

    Flower averages the same way, with weights by number of examples, but turns integers such as
    the counters of batch normalisation into floats.

    Args:
        base: The arrays that the round started from: the model of the empty coalition.
        updates: Each client's arrays, with the keys and shapes of `base`.
        counts: How much each client counts in an average, numbers above 0.
    """

    def __init__(
        self, base: ArrayRecord, updates: Sequence[Arrays], counts: Sequence[float]
    ) -> None:
        self._base = base
        self._counts = np.asarray(counts, np.float64)
        # Stacked once, so that each average is one product: float16 is summed in float32.
        self._stacks = {key: _stack([update[key] for update in updates]) for key in base}

    def average(self, members: npt.NDArray[np.bool_]) -> ArrayRecord:
        """Return a coalition's model.

        Args:
            members: Bool (n,), true for the coalition's members among the n clients.

        Returns:
            The members' average, or the base for the empty coalition.
        """
        if not members.any():
            return self._base
        weights = np.where(members, self._counts, 0.0)
        weights /= weights.sum()
        return ArrayRecord(
            {
                key: Array(_average(stack, weights, np.dtype(self._base[key].dtype)))
                for key, stack in self._stacks.items()
            }
        )


def _stack(arrays: Sequence[npt.NDArray[Any]]) -> npt.NDArray[Any]:
    wide = np.float64 if arrays[0].dtype.kind != "f" or arrays[0].itemsize > 4 else np.float32
    return np.stack([array.astype(wide, copy=False) for array in arrays])


def _average(
    stack: npt.NDArray[Any], weights: npt.NDArray[np.float64], dtype: np.dtype[Any]
) -> npt.NDArray[Any]:
    average = np.tensordot(weights.astype(stack.dtype), stack, axes=1)
    if dtype.kind in "iub":
        average = np.rint(average)
    return np.asarray(average, dtype)
