"""Class labels as files hold them: numbers, a column of them, one-hot rows or whole floats."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from fedcoin.data.errors import RefusalError
from fedcoin.learning.errors import LearningCode

MAX_CLASSES = 100_000
"""The largest number of classes."""


def read_labels(
    path: Path, name: str, array: npt.NDArray[Any]
) -> tuple[npt.NDArray[np.int64], tuple[str, ...]]:
    """Read class labels.

    Args:
        path: The file, for messages.
        name: The array's name, for messages.
        array: Integers, booleans or whole floating-point numbers (m,) or (m, 1), or one-hot rows
            (m, classes): a single 1 in each row, otherwise 0.

    Returns:
        Labels (m,) from 0, and what was changed, a phrase each.

    Raises:
        RefusalError: WRONG_SHAPE when the array is neither labels nor one-hot rows; WRONG_DTYPE
            when labels are text or not whole; LABEL_OUT_OF_RANGE when one is negative or not below
            `MAX_CLASSES`.
    """
    if array.dtype.kind in "US":
        shown = ", ".join(repr(str(label)) for label in np.unique(array)[:3])
        raise _refusal(
            LearningCode.WRONG_DTYPE,
            path,
            f"has text in {name} ({shown}); number the classes from 0 in the same way for all "
            "clients (`fedcoin-node convert --classes`); a measure of regression takes no text but "
            "numbers to predict",
        )
    if array.dtype.kind not in "buif":
        raise _refusal(
            LearningCode.WRONG_DTYPE, path, f"has {array.dtype} in {name}; labels must be integers"
        )
    if array.ndim == 2 and array.shape[1] == 1:
        array = array[:, 0]
    remarks: list[str] = []
    if array.ndim == 2 and array.shape[1] > 1:
        array = _from_one_hot(path, name, array)
        remarks.append(f"one-hot {name} read as classes")
    if array.ndim != 1:
        raise _refusal(
            LearningCode.WRONG_SHAPE,
            path,
            f"has {name} of shape {array.shape}; labels must be (m,), (m, 1) or one-hot "
            "(m, classes)",
        )
    if array.dtype.kind == "f":
        _check_whole(path, name, array)
        remarks.append(f"{name} of whole {array.dtype} read as integers")
    if len(array) and not 0 <= array.min() <= array.max() < MAX_CLASSES:
        raise _refusal(
            LearningCode.LABEL_OUT_OF_RANGE,
            path,
            f"has labels from {array.min():g} to {array.max():g} in {name}; classes are numbered "
            f"from 0 to at most {MAX_CLASSES - 1}",
        )
    labels = array.astype(np.int64)
    if len(labels) and labels.min() == 1:
        remarks.append(
            f"no label of {name} is 0: if classes are numbered from 1, convert the file with "
            "--first-label 1"
        )
    return labels, tuple(remarks)


def _from_one_hot(path: Path, name: str, array: npt.NDArray[Any]) -> npt.NDArray[np.int64]:
    is_one_hot = ((array == 0) | (array == 1)).all(axis=1) & (array.sum(axis=1) == 1)
    if not is_one_hot.all():
        row = int(np.argmin(is_one_hot))
        raise _refusal(
            LearningCode.WRONG_SHAPE,
            path,
            f"has {name} of shape {array.shape} whose row {row} is not one-hot; an example has one "
            "class: give labels (m,) or rows with a single 1",
        )
    classes: npt.NDArray[np.int64] = array.argmax(axis=1)
    return classes


def _check_whole(path: Path, name: str, array: npt.NDArray[Any]) -> None:
    is_whole = np.isfinite(array) & (array == np.rint(array))
    if not is_whole.all():
        row = int(np.argmin(is_whole))
        raise _refusal(
            LearningCode.WRONG_DTYPE,
            path,
            f"has the label {array[row]:g} in row {row} of {name}; labels must be whole numbers "
            "(numbers to predict need a measure of regression: --utility r-squared)",
        )


def _refusal(code: LearningCode, path: Path, sentence: str) -> RefusalError:
    return RefusalError(code, f"{path} {sentence}", field="labels")
