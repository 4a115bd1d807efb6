"""Find a model's weights among the arrays of a file: by name, or by position in files of numbers.

Weights are never matched by position because a name was misspelt: layers of equal shapes would
change places without an error.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from fedcoin.data.errors import RefusalError
from fedcoin.data.plurals import format_count
from fedcoin.learning.errors import LearningCode
from fedcoin.learning.files.stored_arrays import StoredArrays

Shapes = Mapping[str, tuple[int, ...]]

_VARIANCES = ("moving_variance", "running_var")
_MAX_LISTED = 6


@dataclass(frozen=True, slots=True)
class NamedWeights:
    """A model's weights as a file holds them."""

    arrays: dict[str, npt.NDArray[np.float32]]
    """float32 weights by the model's names, in the model's order."""
    remarks: tuple[str, ...]
    """What was changed or left out on reading, a phrase each."""


def is_variance(name: str) -> bool:
    """Tell whether a weight is a moving variance, which cannot be negative.

    Args:
        name: The weight's name in Keras or PyTorch.

    Returns:
        True when its last part is the name that Keras or PyTorch gives a moving variance.
    """
    return name.replace("/", ".").rpartition(".")[2] in _VARIANCES


def read_named_weights(stored: StoredArrays, shapes: Shapes) -> NamedWeights:
    """Read a model's weights from a file.

    Args:
        stored: The open file.
        shapes: The shapes of the model's weights by name, in order.

    Returns:
        The weights in float32, with what was changed or left out.

    Raises:
        RefusalError: WRONG_NAMES when weights are missing, or floating-point arrays are left over;
            WRONG_SHAPE when a weight has another shape; WRONG_DTYPE when a weight is not of
            floating-point numbers; NOT_FINITE when one holds NaN or infinity; OUT_OF_RANGE when a
            moving variance is negative; UNREADABLE_FILE when the file is damaged.
    """
    sources, remarks = match_names(stored, shapes)
    for name, source in sources.items():
        array = stored.arrays[source]
        if array.shape != shapes[name]:
            raise RefusalError(
                LearningCode.WRONG_SHAPE,
                f"{stored.path} has shape {array.shape} for {_both(name, source)}; the model's is "
                f"{shapes[name]}",
                field=name,
                limit=str(shapes[name]),
            )
        if array.dtype.kind != "f":
            raise RefusalError(
                LearningCode.WRONG_DTYPE,
                f"{stored.path} has {array.stored_as} for {_both(name, source)}; weights must be "
                "floating-point numbers (bring quantised ones back first)",
                field=name,
                limit="float16, bfloat16, float32, float64",
            )
    dtypes = sorted({stored.arrays[source].stored_as for source in sources.values()} - {"float32"})
    if dtypes:
        remarks = (*remarks, f"{', '.join(dtypes)} read as float32")
    # One at a time: all of them in the file's dtype could be twice as large.
    arrays = {
        name: to_float32(stored.path, name, stored.load([source])[source])
        for name, source in sources.items()
    }
    return NamedWeights(arrays, (*stored.remarks, *remarks))


def match_names(stored: StoredArrays, shapes: Shapes) -> tuple[dict[str, str], tuple[str, ...]]:
    """Find each weight's array in a file.

    Args:
        stored: The open file.
        shapes: The shapes of the model's weights by name, in order.

    Returns:
        The name of the file's array for each weight in the model's order, and what was changed or
        left out.

    Raises:
        RefusalError: WRONG_NAMES when weights are missing, or floating-point arrays are left over.
    """
    if stored.is_positional and not set(shapes) <= set(stored.arrays):
        names = stored.names_by_position()
        floats = [name for name in names if stored.arrays[name].dtype.kind == "f"]
        if len(floats) == len(shapes) < len(names):
            # `get_weights()` also gives the counter of an adapted `Normalization`.
            integers = [name for name in names if name not in floats]
            remark = f"{_list(integers)} left out, which holds integers"
            return dict(zip(shapes, floats, strict=True)), ("matched by position", remark)
        if len(names) != len(shapes):
            raise _wrong_names(
                stored.path,
                f"has {format_count(len(names), 'array')} without names, but the model has "
                f"{format_count(len(shapes), 'weight')}: {_list(list(shapes))}",
            )
        return dict(zip(shapes, names, strict=True)), ("matched by position",)
    prefix = _find_prefix(list(stored.arrays), shapes)
    sources = {name: prefix + name for name in shapes if prefix + name in stored.arrays}
    taken = set(sources.values())
    left = [name for name in stored.arrays if name not in taken]
    missing = [name for name in shapes if name not in sources]
    # Counters and seeds, such as `num_batches_tracked`, are no weights.
    unknown = [name for name in left if stored.arrays[name].dtype.kind == "f"]
    if missing or unknown:
        raise _wrong_names(stored.path, _describe_difference(missing, unknown, left, shapes))
    remarks = [f"the names' prefix {prefix!r} left out"] if prefix else []
    if left:
        remarks.append(f"{_list(left)} left out, which the model does not have")
    return sources, tuple(remarks)


def to_float32(path: Path, name: str, array: npt.NDArray[np.generic]) -> npt.NDArray[np.float32]:
    """Convert weights to float32 and check their numbers.

    Args:
        path: The file that they are from, for messages.
        name: The weight's name.
        array: Floating-point numbers.

    Returns:
        The same numbers as float32, in C order.

    Raises:
        RefusalError: NOT_FINITE when a number is NaN, infinite or too large for float32;
            OUT_OF_RANGE when a moving variance is negative.
    """
    with np.errstate(over="ignore"):
        floats = np.ascontiguousarray(array, np.float32).reshape(array.shape)
    if not np.isfinite(floats).all():
        raise RefusalError(
            LearningCode.NOT_FINITE,
            f"{path} has NaN, infinity or a number beyond float32 in {name}",
            field=name,
        )
    if is_variance(name) and floats.size and (lowest := float(floats.min())) < 0:
        raise RefusalError(
            LearningCode.OUT_OF_RANGE,
            f"{path} has {lowest:.4g} in {name}; a moving variance is at least 0",
            field=name,
            limit="0",
        )
    return floats


def _find_prefix(names: Sequence[str], shapes: Shapes) -> str:
    """Find what stands before every weight's name in a file, such as the model's own name."""
    known = set(names)
    first = next(iter(shapes), "")
    if first in known:
        return ""
    prefixes = [
        name.removesuffix(first) for name in names if name.endswith(("/" + first, "." + first))
    ]
    complete = [prefix for prefix in prefixes if all(prefix + weight in known for weight in shapes)]
    return complete[0] if complete else ""


def _describe_difference(
    missing: Sequence[str], unknown: Sequence[str], left: Sequence[str], shapes: Shapes
) -> str:
    parts = []
    if missing:
        parts.append(f"lacks {_list(missing)}")
    if unknown:
        parts.append(f"has {_list(unknown)}, which the model does not have")
    elif missing and left:
        parts.append(f"has {_list(left)}, which are no floating-point numbers")
    similar = [
        (name, close[0])
        for name in unknown[:_MAX_LISTED]
        if (close := difflib.get_close_matches(name, missing[:1000], 1, 0.6))
    ]
    hint = "; ".join(f"rename {name} to {close}" for name, close in similar)
    if not hint:
        hint = (
            f"name the arrays as the model's weights ({_list(list(shapes))}), or save them in the "
            "model's order without names, `np.savez(path, *weights)`"
        )
    return f"{' and '.join(parts)}: {hint}"


def _both(name: str, source: str) -> str:
    return name if name == source else f"{name} ({source})"


def _list(names: Sequence[str]) -> str:
    listed = ", ".join(name[:64] for name in names[:_MAX_LISTED])
    return f"{listed}, ..." if len(names) > _MAX_LISTED else listed


def _wrong_names(path: Path, sentence: str) -> RefusalError:
    return RefusalError(LearningCode.WRONG_NAMES, f"{path} {sentence}", field=path.name)
