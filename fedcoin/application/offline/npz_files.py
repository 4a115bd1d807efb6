"""Read the files of `fedcoin-node shapley`: weights and an evaluation set as `.npz`."""

from __future__ import annotations

import zipfile
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from fedcoin.application.errors import ApplicationCode
from fedcoin.data.artifacts.tensors import encode_tensors
from fedcoin.data.errors import RefusalError
from fedcoin.data.plurals import format_count
from fedcoin.learning.errors import LearningCode
from fedcoin.learning.model.aggregation import MAX_NUM_SAMPLES
from fedcoin.learning.training.input_range import (
    InputRange,
    check_divisor,
    measure_inputs,
    read_divisor,
)

Array = npt.NDArray[np.generic]
Shapes = dict[str, tuple[int, ...]]

_NUM_SAMPLES = "num_samples"


def list_client_files(folder: Path) -> list[Path]:
    """List the clients' files of a folder.

    Args:
        folder: The folder; other files than `.npz` in it are ignored.

    Returns:
        The files, sorted by name. A file's name without its ending is the client's name.

    Raises:
        RefusalError: NO_UPDATES when there is no folder or no file in it; DUPLICATE_CLIENT when
            two files are of the same client, such as `a.npz` and `a.NPZ`.
    """
    if not folder.is_dir():
        raise RefusalError(
            ApplicationCode.NO_UPDATES, f"there is no folder {folder}", field="updates"
        )
    files = sorted(file for file in folder.iterdir() if file.suffix.lower() == ".npz")
    if not files:
        raise RefusalError(
            ApplicationCode.NO_UPDATES,
            f"{folder} has no .npz files; it must hold one for each client",
            field="updates",
        )
    name, count = Counter(file.stem for file in files).most_common(1)[0]
    if count > 1:
        raise RefusalError(
            ApplicationCode.DUPLICATE_CLIENT,
            f"{folder} has {count} files of the client {name!r}; keep one",
            field="updates",
        )
    return files


def read_model(path: Path) -> bytes:
    """Read a model's file.

    Args:
        path: The file.

    Returns:
        The content of the file.

    Raises:
        RefusalError: NO_FILE when there is no such file.
    """
    _check_exists(path)
    return path.read_bytes()


def read_weights(path: Path, shapes: Shapes) -> tuple[bytes, int]:
    """Read a model's weights.

    Args:
        path: An `.npz` file with arrays named as the model's weights or in their order, and
            possibly `num_samples`.
        shapes: The shapes of the model's weights by name, in order.

    Returns:
        The weights as encoded float32 tensors, and the number of training examples (1 if the file
        does not tell it).

    Raises:
        RefusalError: NO_FILE; UNREADABLE_FILE; BAD_SAMPLES when `num_samples` is not an integer in
            range; WRONG_SHAPE, WRONG_DTYPE or NOT_FINITE when the weights are not the model's.
    """
    arrays = _read_arrays(path)
    samples = arrays.pop(_NUM_SAMPLES, np.array(1))
    is_integer = not samples.ndim and samples.dtype.kind in "ui"
    if not is_integer or not 1 <= int(samples) <= MAX_NUM_SAMPLES:
        raise RefusalError(
            LearningCode.BAD_SAMPLES,
            f"{path} has a {_NUM_SAMPLES} that is not an integer from 1 to {MAX_NUM_SAMPLES}",
            field=_NUM_SAMPLES,
            limit=str(MAX_NUM_SAMPLES),
        )
    if len(arrays) != len(shapes):
        raise RefusalError(
            LearningCode.WRONG_SHAPE,
            f"{path} has {format_count(len(arrays), 'array')}, but the model has "
            f"{format_count(len(shapes), 'weight')}: {', '.join(list(shapes)[:6])}",
            field=path.name,
        )
    has_names = set(arrays) == set(shapes)
    named = arrays if has_names else dict(zip(shapes, arrays.values(), strict=True))
    for name, shape in shapes.items():
        if named[name].shape != shape:
            raise RefusalError(
                LearningCode.WRONG_SHAPE,
                f"{path} has shape {named[name].shape} for {name}; the model's is {shape}",
                field=path.name,
                limit=str(shape),
            )
    floats = {name: _to_float32(path, name, named[name]) for name in shapes}
    return encode_tensors(floats), int(samples)


@dataclass(frozen=True, slots=True)
class EvaluationFile:
    """What a file of an evaluation set holds."""

    tensors: bytes
    """`x` as float32 and `y` as int64, in encoded tensors."""
    num_examples: int
    inputs: InputRange
    """The range of the inputs in the file, and what they were divided by."""


def read_evaluation(path: Path, scale: float = 0.0) -> EvaluationFile:
    """Read an evaluation set.

    Args:
        path: An `.npz` file with `x` (m, ...) and `y` (m,), or `x_test` and `y_test`.
        scale: What to divide the inputs by; 0 for the array `scale` of the file or, without one,
            nothing.

    Returns:
        The evaluation set.

    Raises:
        RefusalError: NO_FILE; UNREADABLE_FILE; WRONG_NAMES when arrays are missing; WRONG_SHAPE
            when they do not match or are empty; WRONG_DTYPE; NOT_FINITE; LABEL_OUT_OF_RANGE when a
            label is below 0; BAD_DATASET when the scale is no number to divide by.
    """
    arrays = _read_arrays(path)
    x = arrays.get("x", arrays.get("x_test"))
    y = arrays.get("y", arrays.get("y_test"))
    if x is None or y is None:
        raise _bad_data(LearningCode.WRONG_NAMES, f"{path} must hold x and y, or x_test and y_test")
    if y.ndim == 2 and y.shape[1] == 1:
        y = y[:, 0]
    if x.ndim < 2 or y.shape != x.shape[:1] or not len(y):
        raise _bad_data(
            LearningCode.WRONG_SHAPE,
            f"{path} has x of shape {x.shape} and y of shape {y.shape}; they must be (m, ...) and "
            "(m,) with m at least 1",
        )
    if x.dtype.kind not in "uif" or y.dtype.kind not in "ui":
        raise _bad_data(
            LearningCode.WRONG_DTYPE,
            f"{path} has x of {x.dtype} and y of {y.dtype}; x must be numbers and y integers",
        )
    divisor = scale or read_divisor(path, arrays)
    check_divisor(divisor)
    inputs = _to_float32(path, "x", x) / np.float32(divisor)
    labels = y.astype(np.int64)
    if int(labels.min()) < 0:
        raise _bad_data(
            LearningCode.LABEL_OUT_OF_RANGE,
            f"{path} has the label {labels.min()}; labels count from 0",
        )
    tensors = encode_tensors({"x": inputs, "y": labels})
    return EvaluationFile(tensors, len(labels), measure_inputs([x], divisor))


def _to_float32(path: Path, name: str, array: Array) -> npt.NDArray[np.float32]:
    if array.dtype.kind not in "uif":
        raise RefusalError(
            LearningCode.WRONG_DTYPE,
            f"{path} has {array.dtype} for {name}; it must be numbers",
            field=path.name,
        )
    with np.errstate(over="ignore"):
        floats = array.astype(np.float32)
    if not np.isfinite(floats).all():
        raise RefusalError(
            LearningCode.NOT_FINITE,
            f"{path} has NaN, infinity or a number beyond float32 in {name}",
            field=path.name,
        )
    return floats


def _read_arrays(path: Path) -> dict[str, Array]:
    _check_exists(path)
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
            return {name: archive[name] for name in archive.files}
    except (ValueError, TypeError, AttributeError, EOFError, zipfile.BadZipFile) as error:
        raise RefusalError(
            ApplicationCode.UNREADABLE_FILE,
            f"{path} cannot be read as .npz without pickles: {error}",
            field=path.name,
        ) from error


def _check_exists(path: Path) -> None:
    if not path.is_file():
        raise RefusalError(ApplicationCode.NO_FILE, f"there is no file {path}", field=path.name)


def _bad_data(code: LearningCode, sentence: str) -> RefusalError:
    return RefusalError(code, sentence, field="data")
