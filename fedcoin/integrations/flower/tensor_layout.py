"""Turn Flower's records of arrays into the artifacts that are signed and valued, and back.

An artifact holds the tensors of the chain's model, by name and in the model's order, as float32. A
record holds arrays by key, in any dtype, and maybe more of them, such as batch counters.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from flwr.app import Array, ArrayRecord

from fedcoin.data.artifacts.tensors import decode_tensors, encode_tensors
from fedcoin.data.errors import RefusalError
from fedcoin.learning.errors import LearningCode
from fedcoin.learning.model.spec import trained_shapes
from fedcoin.v1.artifact_pb2 import ModelSpec


@dataclass(frozen=True, slots=True)
class TensorLayout:
    """Which array of a record is which tensor of the model."""

    keys: tuple[str, ...]
    """The record's keys, in the order of the model's tensors."""
    names: tuple[str, ...]
    """The tensors' names, in the model's order."""

    def encode(self, arrays: ArrayRecord) -> bytes:
        """Encode the model's tensors.

        Args:
            arrays: A record of Flower; arrays that are no tensors of the model are left out.

        Returns:
            The content of the artifact.

        Raises:
            RefusalError: WRONG_NAMES when a key is missing; BAD_TENSOR when an array has no dtype
                or shape that an artifact can hold.
        """
        return encode_tensors(self.read(arrays))

    def read(self, arrays: ArrayRecord) -> dict[str, npt.NDArray[np.float32]]:
        """Read the model's tensors.

        Args:
            arrays: A record of Flower; arrays that are no tensors of the model are left out.

        Returns:
            The tensors by name, in the model's order, as float32.

        Raises:
            RefusalError: WRONG_NAMES when a key is missing.
        """
        missing = [key for key in self.keys if key not in arrays]
        if missing:
            raise RefusalError(
                LearningCode.WRONG_NAMES,
                f"the arrays lack {', '.join(missing[:4])}; send all arrays of the model under the"
                " keys that the server sent",
                field="arrays",
            )
        pairs = zip(self.keys, self.names, strict=True)
        return {name: arrays[key].numpy().astype(np.float32, copy=False) for key, name in pairs}

    def decode(self, raw: bytes, like: ArrayRecord) -> ArrayRecord:
        """Put an artifact's tensors in the place of a record's arrays.

        Args:
            raw: The content of the artifact.
            like: A record with keys and dtypes; arrays that are no tensors of the model are kept.

        Returns:
            A new record with the keys of `like`, in its order.

        Raises:
            RefusalError: BAD_TENSOR when the content is not a file of named tensors.
        """
        tensors = decode_tensors(raw)
        named = dict(zip(self.keys, self.names, strict=True))
        return ArrayRecord(
            {
                key: Array(np.array(tensors[named[key]], array.dtype)) if key in named else array
                for key, array in like.items()
            }
        )

    def is_float32(self, arrays: ArrayRecord) -> bool:
        """Tell whether an artifact holds a record's numbers as they are.

        Args:
            arrays: A record of Flower.

        Returns:
            True when all arrays that are tensors of the model are float32.
        """
        return all(arrays[key].dtype == "float32" for key in self.keys)


def match_layout(spec: ModelSpec, arrays: ArrayRecord) -> TensorLayout:
    """Find which array of a record is which tensor of a model: by name, or by position.

    Flower names the arrays of a list "0", "1" and so on; those are matched by position. All other
    records are matched by name, and may hold more arrays than the model has tensors.

    Args:
        spec: Names the tensors of the model, in order.
        arrays: The record of the global model.

    Returns:
        For each tensor of the model the key of its array.

    Raises:
        RefusalError: WRONG_NAMES when a tensor has no array; WRONG_SHAPE when its array has another
            shape.
    """
    shapes = trained_shapes(spec)
    names = tuple(shapes)
    is_positional = list(arrays) == [str(index) for index in range(len(names))]
    keys = tuple(arrays) if is_positional and not set(names) & set(arrays) else names
    missing = [key for key in keys if key not in arrays]
    if missing:
        raise RefusalError(
            LearningCode.WRONG_NAMES,
            f"the initial arrays have no {_some(missing)}; they have {_some(list(arrays))}, and the"
            f" model's tensors are {_some(names)}: export the model that the clients train, or name"
            " its arrays as its tensors",
            field="initial_arrays",
        )
    for key, shape in zip(keys, shapes.values(), strict=True):
        if tuple(arrays[key].shape) != shape:
            raise RefusalError(
                LearningCode.WRONG_SHAPE,
                f"the array {key} has shape {tuple(arrays[key].shape)}; the model's tensor has"
                f" {shape}",
                field=key,
                limit=str(shape),
            )
    return TensorLayout(keys, names)


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:4]) + (f" and {len(names) - 4} more" if len(names) > 4 else "")
