"""Check weights, aggregates and evaluation sets that came from other machines.

Miners check all files of a job before they evaluate it or vote for it; a coordinator checks each
update. The cheap checks come first: names, shapes, dtypes and sizes, then the numbers themselves.
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
from fedcoin.learning.files.weight_names import is_variance
from fedcoin.learning.measures.target_checks import check_targets
from fedcoin.learning.model.aggregation import WeightFiles, Weights, federated_average
from fedcoin.learning.model.look_alikes import check_groups, measure_similarities
from fedcoin.learning.model.spec import parse_spec, weight_shapes
from fedcoin.learning.model.token_ids import vocabulary_size
from fedcoin.v1 import artifact_pb2, task_pb2

MAX_MAGNITUDE = 1e9
"""Absolute value of a weight or an input. Larger ones overflow float32 in a layer's sums."""

AGGREGATE_TOLERANCE = 1e-5
"""How far a weight of the aggregate may be from the federated average, relative to the larger of 1
and the average of the clients' absolute values of this weight. Covers another order of summation in
float32 (2^-24 is 6e-8), not another model. Were it relative to the whole tensor, one huge weight
that does nothing, such as that of a pixel that is always 0, would let an aggregate be anything."""

_PIECE_BYTES = 4 << 20
"""How many bytes of an evaluation set are in memory at a time while it is checked."""

Array = npt.NDArray[np.generic]
T = TypeVar("T")


def check_job_artifacts(
    spec: artifact_pb2.ModelSpec,
    base: Weights,
    aggregate: Weights,
    updates: Sequence[Weights],
    x: MappedArray | Array,
    y: Array,
    *,
    evaluation_size: int | None = None,
    num_samples: Sequence[int] | None = None,
    groups: Sequence[int] = (),
    similarity_limit: float = 0.0,
    utility: int = task_pb2.UTILITY_ACCURACY,
) -> None:
    """Check that a job's model, weights and evaluation set fit together.

    Args:
        spec: The model, checked by `spec.check_spec`.
        base: The base weights by name.
        aggregate: The averaged weights by name.
        updates: Each client's weights by name.
        x: The evaluation set's inputs; dtype and shape as in `check_evaluation_set`.
        y: The evaluation set's labels; dtype and shape as in `check_evaluation_set`.
        evaluation_size: The number of examples that the set must have; None for any number.
        num_samples: How much each client counts in the aggregate (`client_weights`). With it, the
            aggregate must be the updates' average; without it, only its shapes and numbers are
            checked.
        groups: The groups of look-alikes, one number for each update; empty for none.
        similarity_limit: The limit for which the groups must be sound.
        utility: The `Utility` that the evaluation set is for.

    Raises:
        RefusalError: NO_CLIENTS when there are no updates; otherwise as in `check_weights`,
            `check_evaluation_set`, `look_alikes.check_groups` and `check_aggregate`.
    """
    if not updates:
        raise RefusalError(LearningCode.NO_CLIENTS, "there are no updates", field="updates")
    check_weights(spec, base, "base")
    check_weights(spec, aggregate, "aggregate")
    for client, update in enumerate(updates):
        check_weights(spec, update, f"updates[{client}]")
    check_evaluation_set(spec, x, y, evaluation_size, utility)
    if groups:
        check_groups(groups, measure_similarities(base, updates), similarity_limit)
    if num_samples is not None:
        check_aggregate(aggregate, updates, num_samples)


def check_job_files(
    model: Path,
    base: Path,
    aggregate: Path,
    updates: Sequence[Path],
    evaluation: Path,
    *,
    evaluation_size: int | None = None,
    num_samples: Sequence[int] | None = None,
    groups: Sequence[int] = (),
    similarity_limit: float = 0.0,
    utility: int = task_pb2.UTILITY_ACCURACY,
) -> None:
    """Check a job's artifacts that lie in files.

    Args:
        model: The file of a serialised ModelSpec.
        base: The tensors of the base weights.
        aggregate: The tensors of the averaged weights.
        updates: The tensors of each client's weights.
        evaluation: The tensors `x` and `y` of the evaluation set.
        evaluation_size: As in `check_job_artifacts`.
        num_samples: As in `check_job_artifacts`.
        groups: As in `check_job_artifacts`.
        similarity_limit: As in `check_job_artifacts`.
        utility: As in `check_job_artifacts`.

    Raises:
        RefusalError: NO_CLIENTS when there are no updates; MODEL_TOO_LARGE, BAD_MODEL or
            FORBIDDEN_LAYER when the model is not accepted; BAD_TENSOR, WRONG_NAMES, WRONG_SHAPE,
            WRONG_DTYPE, NOT_FINITE or OUT_OF_RANGE when weights or examples are invalid; otherwise
            as in `check_job_artifacts`.
        OSError: A file cannot be read.
    """
    spec = parse_spec(model.read_bytes())
    x, y = open_evaluation_set(evaluation)
    check_job_artifacts(
        spec,
        decode_tensors(base.read_bytes()),
        decode_tensors(aggregate.read_bytes()),
        WeightFiles(updates),
        x,
        y,
        evaluation_size=evaluation_size,
        num_samples=num_samples,
        groups=groups,
        similarity_limit=similarity_limit,
        utility=utility,
    )


def check_update_file(model: Path, update: Path) -> None:
    """Check a client's weights that lie in a file.

    Args:
        model: The file of a serialised ModelSpec.
        update: The tensors of the client's weights.

    Raises:
        RefusalError: MODEL_TOO_LARGE, BAD_MODEL or FORBIDDEN_LAYER when the model is not accepted;
            BAD_TENSOR, WRONG_NAMES, WRONG_SHAPE, WRONG_DTYPE, NOT_FINITE or OUT_OF_RANGE when
            weights are invalid, as in `parse_spec` and `check_weights`.
        OSError: A file cannot be read.
    """
    spec = parse_spec(model.read_bytes())
    check_weights(spec, decode_tensors(update.read_bytes()), "update")


def check_weights(spec: artifact_pb2.ModelSpec, weights: Weights, description: str) -> None:
    """Check that weights are a model's, and finite.

    Args:
        spec: The model.
        weights: The weights by name.
        description: What they are, for error messages, such as "base".

    Raises:
        RefusalError: WRONG_NAMES when names or their order differ from the spec; WRONG_SHAPE;
            WRONG_DTYPE when a tensor is not float32; NOT_FINITE; OUT_OF_RANGE when a number's
            absolute value exceeds `MAX_MAGNITUDE`, or a variance is negative.
    """
    shapes = weight_shapes(spec)
    if list(weights) != list(shapes):
        raise RefusalError(
            LearningCode.WRONG_NAMES,
            f"{description} holds {_format_names(list(weights))}, but the model's weights are "
            f"{_format_names(list(shapes))}, in this order",
            field=description,
        )
    for name, shape in shapes.items():
        _check_tensor(weights[name], shape, f"{description}.{name}")
        if is_variance(name) and (lowest := float(weights[name].min())) < 0:
            raise RefusalError(
                LearningCode.OUT_OF_RANGE,
                f"{description}.{name} holds {lowest:.4g}; a moving variance is at least 0",
                field=f"{description}.{name}",
                limit="0",
            )


def open_evaluation_set(path: Path) -> tuple[MappedArray | Array, Array]:
    """Open the file of an evaluation set.

    Args:
        path: A file with the tensors `x` and `y`.

    Returns:
        `x`, which stays in the file until it is read, and `y`.

    Raises:
        RefusalError: WRONG_NAMES when the arrays are not exactly `x` and `y`; BAD_TENSOR when the
            file does not hold tensors, as in `map_tensors`.
        OSError: The file cannot be read.
    """
    x, y = evaluation_arrays(map_tensors(path))
    return x, y.read() if isinstance(y, MappedArray) else y


def sample_input_range(path: Path) -> tuple[float, float]:
    """Measure the range of the first inputs of one's own evaluation set.

    Args:
        path: As in `open_evaluation_set`.

    Returns:
        The smallest and the largest number of at most 1 MiB of inputs, or of one example; 0 and 0
        when the file is not there any more.

    Raises:
        RefusalError: WRONG_NAMES or BAD_TENSOR, as in `open_evaluation_set`.
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
            f"an evaluation set holds the tensors x and y; this one {_format_names(list(tensors))}",
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
        spec: The model.
        x: Inputs, which must be float32 or int32 of shape (m, *input_shape).
        y: Targets, as `check_targets` describes them: with the accuracy uint8, int32 or int64
            labels (m,), from 0 to num_classes - 1.
        evaluation_size: What m must be; None for any number above 0.
        utility: The `Utility` of the task.

    Raises:
        RefusalError: WRONG_SHAPE when shapes differ or the set is empty; WRONG_SIZE when m is not
            `evaluation_size`; WRONG_DTYPE; NOT_FINITE; OUT_OF_RANGE when an input's absolute value
            exceeds `MAX_MAGNITUDE`, or it is an id beyond the model's vocabulary;
            LABEL_OUT_OF_RANGE and UNFIT_MEASURE as in `check_targets`.
    """
    if not y.ndim or x.shape != (len(y), *spec.input_shape) or not len(y):
        raise RefusalError(
            LearningCode.WRONG_SHAPE,
            f"the evaluation set has x of shape {x.shape} and y of shape {y.shape}; the model "
            f"takes x of shape (m, {', '.join(map(str, spec.input_shape))}) and y of shape (m,), "
            "with m at least 1",
            field="evaluation",
        )
    if evaluation_size is not None and len(y) != evaluation_size:
        raise RefusalError(
            LearningCode.WRONG_SIZE,
            f"the evaluation set holds {len(y)} examples; it was declared with {evaluation_size}",
            field="evaluation.size",
            limit=str(evaluation_size),
        )
    if x.dtype not in (np.float32, np.int32):
        raise RefusalError(
            LearningCode.WRONG_DTYPE,
            f"the evaluation set has x of {x.dtype}; x must be float32 or int32",
            field="evaluation.x",
            limit="float32 or int32",
        )
    check_targets(utility, y, spec.num_classes)
    _check_inputs(spec, x)


def check_shards(
    model: bytes, shards: Sequence[bytes], utility: int = task_pb2.UTILITY_ACCURACY
) -> None:
    """Check that one's own evaluation set fits the model and the measure, before any training.

    Args:
        model: The serialised ModelSpec.
        shards: The encoded tensors `x` and `y` of each shard.
        utility: The `Utility` of the campaign.

    Raises:
        RefusalError: WRONG_SHAPE; NOT_FINITE; OUT_OF_RANGE as in `check_evaluation_set`; otherwise
            as in `check_targets`, `parse_spec` and `decode_tensors`.
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
        _check_numbers(piece, "evaluation.x")
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


def check_aggregate(
    aggregate: Weights, updates: Sequence[Weights], num_samples: Sequence[int]
) -> None:
    """Check that an aggregate is the federated average of the updates.

    Args:
        aggregate: float32 weights by name, as the updates'.
        updates: Each client's float32 weights by name.
        num_samples: How much each client counts (`client_weights`).

    Raises:
        RefusalError: WRONG_AGGREGATE when a weight differs by more than `AGGREGATE_TOLERANCE`
            allows; BAD_SAMPLES as in `federated_average`.
    """
    expected = federated_average(updates, num_samples)
    for name, array in expected.items():
        distances = np.abs(aggregate[name].astype(np.float64) - array)
        # Most aggregates are averages rounded once, for which the updates are read only once.
        if (distances <= AGGREGATE_TOLERANCE * np.maximum(1, np.abs(array))).all():
            continue
        limits = AGGREGATE_TOLERANCE * np.maximum(1, _average_size(updates, num_samples, name))
        worst = np.unravel_index(np.argmax(distances - limits), distances.shape)
        if distances[worst] > limits[worst]:
            raise RefusalError(
                LearningCode.WRONG_AGGREGATE,
                f"aggregate.{name} differs by {distances[worst]:.3g} from the average of the "
                "updates; aggregate exactly the updates that are listed, weighted as the task's "
                "averaging says",
                field=f"aggregate.{name}",
                limit=f"{limits[worst]:.3g}",
            )


def _average_size(
    updates: Sequence[Weights], num_samples: Sequence[int], name: str
) -> npt.NDArray[np.float64]:
    """Average the clients' absolute values of each weight of a tensor."""
    total = sum(num_samples)
    sizes = np.zeros(updates[0][name].shape, np.float64)
    for update, samples in zip(updates, num_samples, strict=True):
        sizes += samples / total * np.abs(update[name].astype(np.float64))
    return sizes


def _check_tensor(array: Array, shape: tuple[int, ...], field: str) -> None:
    if array.shape != shape:
        raise RefusalError(
            LearningCode.WRONG_SHAPE,
            f"{field} has shape {array.shape}; the model's is {shape}",
            field=field,
            limit=str(shape),
        )
    if array.dtype != np.float32:
        raise RefusalError(
            LearningCode.WRONG_DTYPE,
            f"{field} is {array.dtype}; weights must be float32",
            field=field,
            limit="float32",
        )
    _check_numbers(array, field)


def _check_numbers(array: Array, field: str) -> None:
    if array.dtype != np.float32:
        return
    # A NaN anywhere makes minimum and maximum NaN, so two passes find everything.
    low, high = float(array.min()), float(array.max())
    if not np.isfinite(low) or not np.isfinite(high):
        raise RefusalError(
            LearningCode.NOT_FINITE,
            f"{field} holds NaN or infinity; every number must be finite",
            field=field,
        )
    if max(-low, high) > MAX_MAGNITUDE:
        raise RefusalError(
            LearningCode.OUT_OF_RANGE,
            f"{field} holds {low if -low > high else high:.4g}; numbers must be within "
            f"{-MAX_MAGNITUDE:.0e} and {MAX_MAGNITUDE:.0e}",
            field=field,
            limit=f"{MAX_MAGNITUDE:.0e}",
        )


def _format_names(names: list[str]) -> str:
    listed = ", ".join(name[:64] for name in names[:8])
    return f"({listed}{', ...' if len(names) > 8 else ''})"
