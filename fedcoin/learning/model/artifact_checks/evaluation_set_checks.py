"""Read and check evaluation sets: one's own before a campaign, and those from other machines.

An evaluation set is an artifact of two tensors, the inputs `x` and the targets `y`. The cheap
checks come first: shapes, sizes and dtypes, then the numbers themselves, piece by piece.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from fedcoin.data.artifacts.mapped_tensors import MappedArray, map_tensors
from fedcoin.data.artifacts.tensors import decode_tensors
from fedcoin.data.errors import RefusalError
from fedcoin.learning.errors import LearningCode
from fedcoin.learning.measures.target_checks import check_targets, check_training_targets
from fedcoin.learning.measures.target_kind import TargetKind
from fedcoin.learning.model.artifact_checks.weight_checks import check_numbers, format_names
from fedcoin.learning.model.spec import parse_spec
from fedcoin.learning.model.token_ids import vocabulary_size
from fedcoin.v1 import artifact_pb2, task_pb2

_PIECE_BYTES = 4 << 20
"""How many bytes of an evaluation set are in memory at a time while it is checked."""

Array = npt.NDArray[np.generic]
T = TypeVar("T")


def open_evaluation_set(path: Path) -> tuple[MappedArray | Array, Array]:
    """Open the file of an evaluation set.

    Args:
        path: A file with the tensors `x` and `y`.

    Returns:
        `x`, which stays in the file until it is read, and `y`, in memory; of any dtype and shape.

    Raises:
        RefusalError: WRONG_NAMES when the arrays are not exactly `x` and `y`; BAD_TENSOR when the
            file does not hold encoded tensors.
        OSError: The file cannot be read.
    """
    x, y = evaluation_arrays(map_tensors(path))
    return x, y.read() if isinstance(y, MappedArray) else y


def sample_input_range(path: Path) -> tuple[float, float]:
    """Measure the range of the first inputs of one's own evaluation set.

    Args:
        path: A file with the tensors `x` and `y`.

    Returns:
        The smallest and the largest number of at most 1 MiB of inputs, or of one example; 0 and 0
        when the file is not there any more.

    Raises:
        RefusalError: WRONG_NAMES when the arrays are not exactly `x` and `y`; BAD_TENSOR when the
            file does not hold encoded tensors.
    """
    try:
        x, _ = open_evaluation_set(path)
    except OSError:
        return 0.0, 0.0
    rows = max(1, (1 << 20) // (x.dtype.itemsize * max(1, math.prod(x.shape[1:]))))
    first = x[:rows]
    return float(first.min()), float(first.max())


def evaluation_arrays(tensors: Mapping[str, T]) -> tuple[T, T]:
    """Pick the inputs and the labels from the tensors of an evaluation set.

    Args:
        tensors: The tensors by name.

    Returns:
        `x` and `y`.

    Raises:
        RefusalError: WRONG_NAMES when the names are not exactly `x` and `y`.
    """
    if set(tensors) != {"x", "y"}:
        raise RefusalError(
            LearningCode.WRONG_NAMES,
            f"an evaluation set holds the tensors x and y; this one {format_names(list(tensors))}",
            field="evaluation",
        )
    return tensors["x"], tensors["y"]


def check_evaluation_set(
    spec: artifact_pb2.ModelSpec,
    x: MappedArray | Array,
    y: Array,
    evaluation_size: int | None = None,
    utility: int = task_pb2.UTILITY_ACCURACY,
) -> None:
    """Check that an evaluation set fits the model and the measure, and has its declared size.

    Args:
        spec: The model, checked by `spec.check_spec`.
        x: Inputs, which must be float32 or int32 of shape (m, *input_shape).
        y: Targets, as `check_targets` describes them: with the accuracy uint8, int32 or int64
            labels (m,), from 0 to num_classes - 1.
        evaluation_size: What m must be; None for any number above 0.
        utility: The `Utility` of the task.

    Raises:
        RefusalError: WRONG_SHAPE when shapes differ or the set is empty; WRONG_SIZE when m is not
            `evaluation_size`; WRONG_DTYPE when inputs or targets have another dtype; NOT_FINITE
            when one is NaN or infinite; OUT_OF_RANGE when an input's absolute value exceeds
            `MAX_MAGNITUDE`, or it is an id beyond the model's vocabulary; LABEL_OUT_OF_RANGE when a
            label is no class of the model; UNFIT_MEASURE when the measure says nothing on such a
            set.
    """
    _check_examples(spec, x, y)
    if evaluation_size is not None and len(y) != evaluation_size:
        raise RefusalError(
            LearningCode.WRONG_SIZE,
            f"the evaluation set holds {len(y)} examples; it was declared with {evaluation_size}",
            field="evaluation.size",
            limit=str(evaluation_size),
        )
    check_targets(utility, y, spec.num_classes)
    _check_inputs(spec, x)


def check_training_set(spec: artifact_pb2.ModelSpec, x: Array, y: Array, kind: TargetKind) -> None:
    """Check that one's own examples fit the model that they are to train.

    Args:
        spec: The model, checked by `spec.check_spec`.
        x: Inputs, which must be float32 or int32 of shape (m, *input_shape).
        y: Targets (m, ...), as `check_training_targets` checks them.
        kind: What the targets are.

    Raises:
        RefusalError: WRONG_SHAPE, WRONG_DTYPE, NOT_FINITE, OUT_OF_RANGE or LABEL_OUT_OF_RANGE as
            `check_evaluation_set` raises them; UNFIT_MEASURE when the model has one output but
            targets are classes.
    """
    _check_examples(spec, x, y)
    check_training_targets(kind, y, spec.num_classes)
    _check_inputs(spec, x)


def _check_examples(spec: artifact_pb2.ModelSpec, x: MappedArray | Array, y: Array) -> None:
    if not y.ndim or x.shape != (len(y), *spec.input_shape) or not len(y):
        raise RefusalError(
            LearningCode.WRONG_SHAPE,
            f"the evaluation set has x of shape {x.shape} and y of shape {y.shape}; the model "
            f"takes x of shape (m, {', '.join(map(str, spec.input_shape))}) and y of shape (m,), "
            "with m at least 1",
            field="evaluation",
        )
    if x.dtype not in (np.float32, np.int32):
        raise RefusalError(
            LearningCode.WRONG_DTYPE,
            f"the evaluation set has x of {x.dtype}; x must be float32 or int32",
            field="evaluation.x",
            limit="float32 or int32",
        )


def check_shards(
    model: bytes, shards: Sequence[bytes], utility: int = task_pb2.UTILITY_ACCURACY
) -> None:
    """Check that one's own evaluation set fits the model and the measure, before any training.

    Args:
        model: The serialised ModelSpec.
        shards: The encoded tensors `x` and `y` of each shard.
        utility: The `Utility` of the campaign.

    Raises:
        RefusalError: WRONG_SHAPE, WRONG_DTYPE, NOT_FINITE, OUT_OF_RANGE, LABEL_OUT_OF_RANGE or
            UNFIT_MEASURE when a shard does not fit, as `check_evaluation_set` says; WRONG_NAMES or
            BAD_TENSOR when it does not hold exactly `x` and `y`; MODEL_TOO_LARGE, BAD_MODEL or
            FORBIDDEN_LAYER when the model is not accepted.
    """
    spec = parse_spec(model)
    for shard in shards:
        x, y = evaluation_arrays(decode_tensors(shard))
        if x.shape[1:] != tuple(spec.input_shape):
            raise RefusalError(
                LearningCode.WRONG_SHAPE,
                f"the evaluation set has examples of shape {x.shape[1:]}; the model takes "
                f"{tuple(spec.input_shape)}",
                field="evaluation.x",
            )
        check_targets(utility, y, spec.num_classes)
        _check_inputs(spec, x)


def _check_inputs(spec: artifact_pb2.ModelSpec, x: MappedArray | Array) -> None:
    rows = max(1, _PIECE_BYTES // (4 * math.prod(spec.input_shape)))
    vocabulary = vocabulary_size(spec)
    for start in range(0, x.shape[0], rows):
        piece = x[start : start + rows]
        check_numbers(piece, "evaluation.x")
        if vocabulary is not None:
            _check_ids(piece, vocabulary)


def _check_ids(ids: Array, vocabulary: int) -> None:
    low, high = float(ids.min()), float(ids.max())
    if not (low > -1 and high < vocabulary):
        raise RefusalError(
            LearningCode.OUT_OF_RANGE,
            f"the evaluation set has the id {math.floor(high if high >= vocabulary else low)}; the "
            f"model knows the ids 0 to {vocabulary - 1}",
            field="evaluation.x",
            limit=str(vocabulary - 1),
        )
