"""Are a task's artifacts what they say they are?

A validator asks before it votes for an OpenTask; a coordinator asks before it takes an update.
The cheap checks come first: names, shapes, dtypes, sizes; then the numbers themselves.
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
from fedcoin.learning.model.aggregation import Weights, federated_average
from fedcoin.learning.model.spec import parse_spec, weight_shapes
from fedcoin.v1 import artifact_pb2

MAX_MAGNITUDE = 1e9
"""Weights beyond this overflow in a coalition's model before they mean anything."""

AGGREGATE_TOLERANCE = 1e-5
"""How far the aggregate may be from FedAvg, relative to max(1, the largest absolute weight of a
tensor): another order of summation, not another model."""

PIECE_BYTES = 4 << 20
"""How much of an evaluation set is looked at, and in memory, at a time."""

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
) -> None:
    """Raise a Refusal if the artifacts of a task do not fit together.

    ``base``, ``aggregate`` and ``updates`` are float32 weights by name; ``x`` has shape
    (m, *input_shape), ``y`` shape (m,). ``evaluation_size`` is what the task declares m to be;
    with ``num_samples`` the aggregate must be the FedAvg of the updates. Codes: NO_CLIENTS,
    WRONG_NAMES, WRONG_SHAPE, WRONG_DTYPE, NOT_FINITE, OUT_OF_RANGE, WRONG_SIZE,
    LABEL_OUT_OF_RANGE, WRONG_AGGREGATE, BAD_SAMPLES.
    """
    if not updates:
        raise RefusalError(LearningCode.NO_CLIENTS, "the task has no clients", field="updates")
    check_weights(spec, base, "base")
    check_weights(spec, aggregate, "aggregate")
    for client, update in enumerate(updates):
        check_weights(spec, update, f"updates[{client}]")
    check_evaluation_set(spec, x, y, evaluation_size)
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
) -> None:
    """``check_task_artifacts`` on artifact files.

    Also raises what ``parse_spec`` and ``decode_tensors`` raise (DataCode), and OSError.
    """
    spec = parse_spec(model.read_bytes())
    x, y = open_evaluation_set(evaluation)
    check_job_artifacts(
        spec,
        decode_tensors(base.read_bytes()),
        decode_tensors(aggregate.read_bytes()),
        [decode_tensors(path.read_bytes()) for path in updates],
        x,
        y,
        evaluation_size=evaluation_size,
        num_samples=num_samples,
    )


def check_update_file(model: Path, update: Path) -> None:
    """``check_weights`` on an artifact file. Also raises what ``decode_tensors`` raises."""
    spec = parse_spec(model.read_bytes())
    check_weights(spec, decode_tensors(update.read_bytes()), "update")


def check_weights(spec: artifact_pb2.ModelSpec, weights: Weights, what: str) -> None:
    """Raise a Refusal if ``weights`` are not the model's: names, shapes, float32, finite numbers.

    ``what`` names them in the message. Codes: WRONG_NAMES, WRONG_SHAPE, WRONG_DTYPE, NOT_FINITE,
    OUT_OF_RANGE.
    """
    shapes = weight_shapes(spec)
    if list(weights) != list(shapes):
        raise RefusalError(
            LearningCode.WRONG_NAMES,
            f"{what} holds {_some(list(weights))}, but the model's weights are "
            f"{_some(list(shapes))}, in this order",
            field=what,
        )
    for name, shape in shapes.items():
        _check_tensor(weights[name], shape, f"{what}.{name}")


def open_evaluation_set(path: Path) -> tuple[MappedArray | Array, Array]:
    """The ``x``, which stays in the file, and the ``y`` of an evaluation set's artifact.

    Raises what ``map_tensors`` raises, and Refusal WRONG_NAMES.
    """
    x, y = evaluation_arrays(map_tensors(path))
    return x, y.read() if isinstance(y, MappedArray) else y


def evaluation_arrays(tensors: Mapping[str, T]) -> tuple[T, T]:
    """The ``x`` and ``y`` of an evaluation set's artifact, or Refusal WRONG_NAMES."""
    if set(tensors) != {"x", "y"}:
        raise RefusalError(
            LearningCode.WRONG_NAMES,
            f"an evaluation set holds the tensors x and y; this one {_some(list(tensors))}",
            field="evaluation",
        )
    return tensors["x"], tensors["y"]


def check_evaluation_set(
    spec: artifact_pb2.ModelSpec,
    x: MappedArray | Array,
    y: Array,
    evaluation_size: int | None = None,
) -> None:
    """Raise a Refusal if an evaluation set does not fit the model or its declared size.

    ``x`` is float32 (or int32) of shape (m, *input_shape), ``y`` uint8, int32 or int64 of shape
    (m,), 0 <= y < num_classes. Codes: WRONG_SHAPE, WRONG_SIZE, WRONG_DTYPE, NOT_FINITE,
    OUT_OF_RANGE, LABEL_OUT_OF_RANGE.
    """
    if y.ndim != 1 or x.shape != (len(y), *spec.input_shape) or not len(y):
        raise RefusalError(
            LearningCode.WRONG_SHAPE,
            f"the evaluation set has x of shape {x.shape} and y of shape {y.shape}; the model "
            f"wants x of shape (m, {', '.join(map(str, spec.input_shape))}) and y of shape (m,)",
            field="evaluation",
        )
    if evaluation_size is not None and len(y) != evaluation_size:
        raise RefusalError(
            LearningCode.WRONG_SIZE,
            f"the evaluation set holds {len(y)} examples; the task says {evaluation_size}",
            field="evaluation.size",
            limit=str(evaluation_size),
        )
    if x.dtype not in (np.float32, np.int32) or y.dtype not in (np.uint8, np.int32, np.int64):
        raise RefusalError(
            LearningCode.WRONG_DTYPE,
            f"the evaluation set has x of {x.dtype} and y of {y.dtype}; x must be float32 or "
            "int32, y uint8, int32 or int64",
            field="evaluation",
        )
    rows = max(1, PIECE_BYTES // (4 * math.prod(spec.input_shape)))
    for start in range(0, len(y), rows):
        _check_numbers(x[start : start + rows], "evaluation.x")
    low, high = int(y.min()), int(y.max())
    if low < 0 or high >= spec.num_classes:
        raise RefusalError(
            LearningCode.LABEL_OUT_OF_RANGE,
            f"the evaluation set has the label {low if low < 0 else high}; the model tells apart "
            f"0 to {spec.num_classes - 1}",
            field="evaluation.y",
            limit=str(spec.num_classes - 1),
        )


def check_aggregate(
    aggregate: Weights, updates: Sequence[Weights], num_samples: Sequence[int]
) -> None:
    """Raise Refusal WRONG_AGGREGATE if ``aggregate`` is not the FedAvg of the updates."""
    expected = federated_average(updates, num_samples)
    for name, array in expected.items():
        scale = max(1.0, float(np.abs(array).max()))
        distance = float(np.abs(aggregate[name].astype(np.float64) - array).max())
        if distance > AGGREGATE_TOLERANCE * scale:
            raise RefusalError(
                LearningCode.WRONG_AGGREGATE,
                f"aggregate.{name} is {distance:.3g} off the average of the updates by samples; "
                "aggregate exactly the updates that the task lists",
                field=f"aggregate.{name}",
                limit=f"{AGGREGATE_TOLERANCE * scale:.3g}",
            )


def _check_tensor(array: Array, shape: tuple[int, ...], where: str) -> None:
    if array.shape != shape:
        raise RefusalError(
            LearningCode.WRONG_SHAPE,
            f"{where} has shape {array.shape}; the model wants {shape}",
            field=where,
            limit=str(shape),
        )
    if array.dtype != np.float32:
        raise RefusalError(
            LearningCode.WRONG_DTYPE,
            f"{where} is {array.dtype}; weights must be float32",
            field=where,
            limit="float32",
        )
    _check_numbers(array, where)


def _check_numbers(array: Array, where: str) -> None:
    if array.dtype != np.float32:
        return
    # A NaN makes both NaN, so one pass each finds everything.
    low, high = float(array.min()), float(array.max())
    if not np.isfinite(low) or not np.isfinite(high):
        raise RefusalError(
            LearningCode.NOT_FINITE,
            f"{where} holds NaN or infinity; every number must be finite",
            field=where,
        )
    if max(-low, high) > MAX_MAGNITUDE:
        raise RefusalError(
            LearningCode.OUT_OF_RANGE,
            f"{where} holds {low if -low > high else high:.4g}; the limit is {MAX_MAGNITUDE:.0e} "
            "either way",
            field=where,
            limit=f"{MAX_MAGNITUDE:.0e}",
        )


def _some(names: list[str]) -> str:
    shown = ", ".join(name[:64] for name in names[:8])
    return f"({shown}{', ...' if len(names) > 8 else ''})"
