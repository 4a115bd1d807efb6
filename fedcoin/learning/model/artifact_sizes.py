"""The largest sizes that a model's artifacts can have, from the shapes in its ModelSpec."""

from __future__ import annotations

import math
from collections.abc import Iterable

from fedcoin.data.artifacts.tensors import MAX_DIMENSIONS, MAX_NAME_CHARS
from fedcoin.learning.measures.terms import TARGET_UTILITIES, TOKEN_UTILITIES
from fedcoin.learning.model.spec import frozen_shapes, trained_shapes
from fedcoin.v1 import artifact_pb2, task_pb2

_TENSOR_BYTES = 4 * MAX_NAME_CHARS + 10 * MAX_DIMENSIONS + 64
"""What a tensor's name (UTF-8), shape, dtype and lengths take at most in a TensorFile, in bytes."""


def max_weights_bytes(spec: artifact_pb2.ModelSpec) -> int:
    """Compute the largest size of base weights, an update or an average as an artifact.

    Args:
        spec: The model, checked by `spec.check_spec`.

    Returns:
        The size in bytes: four for each weight, and room for names and shapes.
    """
    return _max_file_bytes(4 * math.prod(shape) for shape in trained_shapes(spec).values())


def max_frozen_bytes(spec: artifact_pb2.ModelSpec) -> int:
    """Compute the largest size of a model's frozen weights as an artifact.

    Args:
        spec: The model, checked by `spec.check_spec`.

    Returns:
        Bytes; 0 when all weights are trained.
    """
    return _max_file_bytes(4 * math.prod(shape) for shape in frozen_shapes(spec).values())


def max_evaluation_bytes(
    spec: artifact_pb2.ModelSpec,
    num_examples: int,
    utility: int = task_pb2.UTILITY_ACCURACY,
) -> int:
    """Compute the largest size of an evaluation set as an artifact.

    Args:
        spec: The model, checked by `spec.check_spec`.
        num_examples: The number of examples in the set.
        utility: The `Utility` that it is for.

    Returns:
        The size in bytes: inputs of four bytes a number, labels of eight; targets of regression
        four for each output of the model, and labels of tokens eight for each number of the input.
    """
    target_bytes = 8
    if utility in TARGET_UTILITIES:
        target_bytes = 4 * spec.num_classes
    elif utility in TOKEN_UTILITIES:
        target_bytes = 8 * math.prod(spec.input_shape)
    inputs = 4 * math.prod(spec.input_shape)
    return _max_file_bytes((num_examples * inputs, num_examples * target_bytes))


def _max_file_bytes(tensors: Iterable[int]) -> int:
    return sum(num_bytes + _TENSOR_BYTES for num_bytes in tensors)
