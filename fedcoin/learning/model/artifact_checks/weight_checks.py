"""Check weights and aggregates that came from other machines.

The cheap checks come first: names, shapes and dtypes, then the numbers themselves.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from fedcoin.data.errors import RefusalError
from fedcoin.learning.errors import LearningCode
from fedcoin.learning.files.weight_names import is_variance
from fedcoin.learning.model.aggregation import Weights, federated_average
from fedcoin.learning.model.spec import trained_shapes
from fedcoin.v1 import artifact_pb2

MAX_MAGNITUDE = 1e9
"""The largest absolute value of a weight or an input. Larger ones overflow float32 in a layer's
sums."""

AGGREGATE_TOLERANCE = 1e-5
"""How far a weight of the aggregate may be from the federated average, relative to the larger of 1
and the average of the clients' absolute values of this weight. Covers another order of summation in
float32 (2^-24 is 6e-8), not another model. Were it relative to the whole tensor, one huge weight
that does nothing, such as that of a pixel that is always 0, would let an aggregate be anything."""

Array = npt.NDArray[np.generic]


def check_weights(spec: artifact_pb2.ModelSpec, weights: Weights, description: str) -> None:
    """Check that weights are a model's trained ones, and finite.

    Args:
        spec: The model, checked by `spec.check_spec`.
        weights: The weights by name.
        description: What they are, for error messages, such as "base".

    Raises:
        RefusalError: WRONG_NAMES, WRONG_SHAPE, WRONG_DTYPE, NOT_FINITE or OUT_OF_RANGE, under the
            conditions of `check_named_weights`.
    """
    check_named_weights(trained_shapes(spec), weights, description)


def check_named_weights(
    shapes: Mapping[str, tuple[int, ...]], weights: Weights, description: str
) -> None:
    """Check that weights have the names and shapes that are expected, and are finite.

    Args:
        shapes: The shapes by name, in order.
        weights: The weights by name.
        description: What they are, for error messages, such as "base".

    Raises:
        RefusalError: WRONG_NAMES when names or their order differ; WRONG_SHAPE when a tensor has
            another shape; WRONG_DTYPE when it is not float32; NOT_FINITE when it holds NaN or
            infinity; OUT_OF_RANGE when a number's absolute value exceeds
            `MAX_MAGNITUDE`, or a variance is negative.
    """
    if list(weights) != list(shapes):
        raise RefusalError(
            LearningCode.WRONG_NAMES,
            f"{description} {_describe_names(list(weights), list(shapes))}",
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
            allows; BAD_SAMPLES when `num_samples` is out of range or not one number for each
            update.
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
    check_numbers(array, field)


def check_numbers(array: Array, field: str) -> None:
    """Check that the numbers of a float32 array are finite and not too large.

    Args:
        array: An array of at least one number. Of another dtype than float32, it always passes.
        field: Its name, for error messages.

    Raises:
        RefusalError: NOT_FINITE when a number is NaN or infinite; OUT_OF_RANGE when an absolute
            value exceeds `MAX_MAGNITUDE`.
    """
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


def _describe_names(held: list[str], expected: list[str]) -> str:
    """Say how the names of tensors differ from those that a model expects."""
    missing = [name for name in expected if name not in held]
    surplus = [name for name in held if name not in expected]
    rule = f"it must hold {format_names(expected)} and no others, in this order"
    if not missing and not surplus:
        return f"holds {format_names(held)} in another order; {rule}"
    lacks = [f"lacks {format_names(missing)}"] if missing else []
    has = [f"holds {format_names(surplus)}, which are not trained"] if surplus else []
    return f"{' and '.join([*lacks, *has])}; {rule}"


def format_names(names: list[str]) -> str:
    """Write names of tensors for an error message.

    Args:
        names: The names, which may come from another machine and be long and many.

    Returns:
        The first 64 characters of each of the first 8 names, in brackets.
    """
    listed = ", ".join(name[:64] for name in names[:8])
    return f"({listed}{', ...' if len(names) > 8 else ''})"
