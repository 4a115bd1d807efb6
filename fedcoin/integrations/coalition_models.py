"""The models of coalitions: averages of the arrays that some clients of a round trained."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from fedcoin.data.errors import RefusalError
from fedcoin.learning.errors import LearningCode

Arrays = Mapping[str, npt.NDArray[Any]]
"""A model's arrays by key."""


class CoalitionModels:
    """Averages a round's arrays over coalitions, in each array's own dtype.

    Flower and NVFlare average the same way, with weights by number of examples, but turn integers
    such as the counters of batch normalisation into floats.

    Args:
        base: The arrays that the round started from: the model of the empty coalition.
        updates: Each client's arrays, with the keys and shapes of `base`.
        counts: How much each client counts in an average, numbers above 0.
    """

    def __init__(self, base: Arrays, updates: Sequence[Arrays], counts: Sequence[float]) -> None:
        self._base = base
        self._counts = np.asarray(counts, np.float64)
        # Stacked once, so that each average is one product: float16 is summed in float32.
        self._stacks = {key: _stack([update[key] for update in updates]) for key in base}

    def average(self, members: npt.NDArray[np.bool_]) -> Arrays:
        """Return a coalition's model.

        Args:
            members: Bool (n,), true for the coalition's members among the n clients.

        Returns:
            The arrays of the members' average, or those of the base for the empty coalition.
        """
        if not members.any():
            return self._base
        weights = np.where(members, self._counts, 0.0)
        weights /= weights.sum()
        return {
            key: _average(stack, weights, self._base[key].dtype)
            for key, stack in self._stacks.items()
        }


def check_arrays(arrays: Arrays, shapes: Mapping[str, tuple[int, ...]]) -> Arrays:
    """Check that a client's arrays have the keys and shapes of the global model's.

    Args:
        arrays: The client's arrays.
        shapes: The shapes of the global model's arrays.

    Returns:
        The client's arrays by key, in the global model's order.

    Raises:
        RefusalError: WRONG_NAMES when the keys differ; WRONG_SHAPE when a shape differs; NOT_FINITE
            when a number is NaN or infinite.
    """
    if set(arrays) != set(shapes):
        different = sorted(set(arrays) ^ set(shapes))[:4]
        raise RefusalError(
            LearningCode.WRONG_NAMES,
            f"the reply's arrays and the global model differ in {', '.join(different)}; send all"
            " arrays of the model under the keys that the server sent",
            field="arrays",
        )
    for key, shape in shapes.items():
        array = arrays[key]
        if array.shape != shape:
            raise RefusalError(
                LearningCode.WRONG_SHAPE,
                f"{key} has shape {array.shape}; the global model's has {shape}",
                field=key,
                limit=str(shape),
            )
        if array.dtype.kind == "f" and not np.isfinite(array).all():
            raise RefusalError(
                LearningCode.NOT_FINITE,
                f"{key} holds NaN or infinity: the client's training diverged",
                field=key,
            )
    return {key: arrays[key] for key in shapes}


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
