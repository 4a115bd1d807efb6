"""The files of ``fedcoin-node shapley``: weights and an evaluation set as ``.npz``."""

from __future__ import annotations

import zipfile
from collections import Counter
from pathlib import Path

import numpy as np
import numpy.typing as npt

from fedcoin.application.errors import ApplicationCode
from fedcoin.data.artifacts.tensors import encode_tensors
from fedcoin.data.errors import RefusalError
from fedcoin.learning.errors import LearningCode
from fedcoin.learning.model.aggregation import MAX_NUM_SAMPLES

Array = npt.NDArray[np.generic]
Shapes = dict[str, tuple[int, ...]]
SAMPLES = "num_samples"


def client_files(folder: Path) -> list[Path]:
    """The clients' files by their names, which are the clients'.

    Raises Refusal NO_UPDATES when there are none, DUPLICATE_CLIENT when two have one name.
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
    """A model's file. Raises Refusal NO_FILE."""
    _need(path)
    return path.read_bytes()


def read_weights(path: Path, shapes: Shapes) -> tuple[bytes, int]:
    """Encoded weights under the model's names, and the number of examples (1 where not said).

    Raises Refusal NO_FILE, UNREADABLE_FILE, BAD_SAMPLES; WRONG_SHAPE, WRONG_DTYPE or NOT_FINITE for
    weights that are not the model's.
    """
    arrays = _arrays(path)
    samples = arrays.pop(SAMPLES, np.array(1))
    whole = not samples.ndim and samples.dtype.kind in "ui"
    if not whole or not 1 <= int(samples) <= MAX_NUM_SAMPLES:
        raise RefusalError(
            LearningCode.BAD_SAMPLES,
            f"{path} has a {SAMPLES} that is not a whole number from 1 to {MAX_NUM_SAMPLES}",
            field=SAMPLES,
            limit=str(MAX_NUM_SAMPLES),
        )
    if len(arrays) != len(shapes):
        raise RefusalError(
            LearningCode.WRONG_SHAPE,
            f"{path} has {len(arrays)} arrays, but the model has {len(shapes)} weights: "
            f"{', '.join(list(shapes)[:6])}",
            field=path.name,
        )
    named = (
        arrays if set(arrays) == set(shapes) else dict(zip(shapes, arrays.values(), strict=True))
    )
    for name, shape in shapes.items():
        if named[name].shape != shape:
            raise RefusalError(
                LearningCode.WRONG_SHAPE,
                f"{path} has shape {named[name].shape} for {name}; the model's is {shape}",
                field=path.name,
                limit=str(shape),
            )
    return encode_tensors({name: _floats(path, name, named[name]) for name in shapes}), int(samples)


def read_evaluation(path: Path) -> tuple[bytes, int]:
    """Encoded ``x`` (uint8 pixels become 0 to 1) and ``y``, and how many examples.

    Raises Refusal NO_FILE, UNREADABLE_FILE, WRONG_NAMES, WRONG_SHAPE, WRONG_DTYPE, NOT_FINITE,
    LABEL_OUT_OF_RANGE.
    """
    arrays = _arrays(path)
    x = arrays.get("x", arrays.get("x_test"))
    y = arrays.get("y", arrays.get("y_test"))
    if x is None or y is None:
        raise _data(LearningCode.WRONG_NAMES, f"{path} must hold x and y, or x_test and y_test")
    if y.ndim == 2 and y.shape[1] == 1:
        y = y[:, 0]
    if x.ndim < 2 or y.shape != x.shape[:1] or not len(y):
        raise _data(
            LearningCode.WRONG_SHAPE,
            f"{path} has x of shape {x.shape} and y of shape {y.shape}; they must be (m, ...) and "
            "(m,), and not empty",
        )
    if x.dtype.kind not in "uif" or y.dtype.kind not in "ui":
        raise _data(
            LearningCode.WRONG_DTYPE,
            f"{path} has x of {x.dtype} and y of {y.dtype}; they must be numbers and whole numbers",
        )
    scale = 255 if x.dtype == np.uint8 else 1
    inputs = _floats(path, "x", x) / np.float32(scale)
    labels = y.astype(np.int64)
    if int(labels.min()) < 0:
        raise _data(
            LearningCode.LABEL_OUT_OF_RANGE,
            f"{path} has the label {labels.min()}; labels count from 0",
        )
    return encode_tensors({"x": inputs, "y": labels}), len(labels)


def _floats(path: Path, name: str, array: Array) -> npt.NDArray[np.float32]:
    if array.dtype.kind not in "uif":
        raise RefusalError(
            LearningCode.WRONG_DTYPE, f"{path} has {array.dtype} for {name}", field=path.name
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


def _arrays(path: Path) -> dict[str, Array]:
    _need(path)
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
            return {name: archive[name] for name in archive.files}
    except (ValueError, TypeError, AttributeError, EOFError, zipfile.BadZipFile) as error:
        raise RefusalError(
            ApplicationCode.UNREADABLE_FILE,
            f"{path} cannot be read as .npz without pickles: {error}",
            field=path.name,
        ) from error


def _need(path: Path) -> None:
    if not path.is_file():
        raise RefusalError(ApplicationCode.NO_FILE, f"there is no file {path}", field=path.name)


def _data(code: LearningCode, sentence: str) -> RefusalError:
    return RefusalError(code, sentence, field="data")
