"""Read the targets of a file of data: classes, numbers to predict, or ids of tokens."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from fedcoin.data.errors import RefusalError
from fedcoin.learning.errors import LearningCode
from fedcoin.learning.files.labels import MAX_CLASSES, read_labels
from fedcoin.learning.measures.measure import Targets
from fedcoin.learning.measures.target_kind import TargetKind


def read_targets(
    path: Path, name: str, array: npt.NDArray[Any], kind: TargetKind
) -> tuple[Targets, tuple[str, ...]]:
    """Read targets of a certain kind.

    Args:
        path: The file, for messages.
        name: The array's name, for messages.
        array: The targets as the file holds them: what `read_labels` reads for classes; numbers
            (m,) or (m, outputs) for regression; integers from -1, (m,) or (m, positions), for
            tokens.
        kind: What the targets must be.

    Returns:
        Targets as `TargetKind` describes them, those of one column as (m,); and what was changed or
        is worth knowing, a phrase each.

    Raises:
        RefusalError: WRONG_SHAPE, WRONG_DTYPE or LABEL_OUT_OF_RANGE when they are no classes or ids
            (`read_labels`), or numbers of another shape or dtype; NOT_FINITE when a number is NaN,
            infinite or beyond float32.
    """
    if kind is TargetKind.NUMBERS:
        numbers = _read_numbers(path, name, array)
        if not numbers.size:
            return numbers, ()
        return numbers, (f"targets {name} from {numbers.min():g} to {numbers.max():g}",)
    if kind is TargetKind.TOKENS and array.dtype.kind in "ui":
        return _read_ids(path, name, _as_column(array)), ()
    return read_labels(path, name, array)


def guess_target_kind(path: Path, name: str, array: npt.NDArray[Any]) -> TargetKind:
    """Guess what targets are, before the measure is known.

    Args:
        path: The file, for messages.
        name: The array's name, for messages.
        array: The targets as the file holds them.

    Returns:
        `CLASSES` when `read_labels` reads them; `TOKENS` for integers (m, positions) from -1; else
        `NUMBERS`.

    Raises:
        RefusalError: A code of `read_labels` when they are neither.
    """
    try:
        read_labels(path, name, array)
    except RefusalError as refusal:
        is_table = array.dtype.kind in "ui" and array.ndim == 2 and array.size
        if is_table and -1 <= array.min() <= array.max() < MAX_CLASSES:
            return TargetKind.TOKENS
        try:
            _read_numbers(path, name, array)
        except RefusalError:
            raise refusal from None
        return TargetKind.NUMBERS
    return TargetKind.CLASSES


def _as_column(array: npt.NDArray[Any]) -> npt.NDArray[Any]:
    return array[:, 0] if array.ndim == 2 and array.shape[1] == 1 else array


def _read_numbers(path: Path, name: str, array: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
    if array.dtype.kind not in "buif":
        shown = "text" if array.dtype.kind in "US" else str(array.dtype)
        raise _refusal(
            LearningCode.WRONG_DTYPE,
            path,
            f"has {shown} in {name}; for a measure of regression targets must be numbers",
        )
    if array.ndim not in (1, 2) or not all(array.shape[1:]):
        raise _refusal(
            LearningCode.WRONG_SHAPE,
            path,
            f"has {name} of shape {array.shape}; for a measure of regression targets must be (m,) "
            "or (m, outputs)",
        )
    with np.errstate(over="ignore"):
        numbers = _as_column(array).astype(np.float32)
    if not np.isfinite(numbers).all():
        raise _refusal(
            LearningCode.NOT_FINITE,
            path,
            f"has NaN, infinity or a number beyond float32 in {name}; fill missing targets, or "
            "leave the rows out",
        )
    return numbers


def _read_ids(path: Path, name: str, array: npt.NDArray[Any]) -> npt.NDArray[np.int64]:
    if array.ndim not in (1, 2):
        raise _refusal(
            LearningCode.WRONG_SHAPE,
            path,
            f"has {name} of shape {array.shape}; ids of next tokens must be (m,) or (m, positions)",
        )
    if array.size and not -1 <= array.min() <= array.max() < MAX_CLASSES:
        raise _refusal(
            LearningCode.LABEL_OUT_OF_RANGE,
            path,
            f"has ids from {array.min()} to {array.max()} in {name}; ids of tokens are 0 to at "
            f"most {MAX_CLASSES - 1}, and -1 where none is to be predicted",
        )
    return array.astype(np.int64)


def _refusal(code: LearningCode, path: Path, sentence: str) -> RefusalError:
    return RefusalError(code, f"{path} {sentence}", field="labels")
