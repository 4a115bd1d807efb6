"""Read the files that a valuation starts from: the model, clients' weights, an evaluation set."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from fedcoin.application.errors import ApplicationCode
from fedcoin.data.artifacts.tensors import encode_tensors
from fedcoin.data.errors import RefusalError
from fedcoin.learning.errors import LearningCode
from fedcoin.learning.files.examples import ALL, TEST, read_examples
from fedcoin.learning.files.file_kinds import FileKind, identify_file
from fedcoin.learning.files.hdf5_format import read_architecture
from fedcoin.learning.files.stored_arrays import unreadable
from fedcoin.learning.files.targets import read_targets
from fedcoin.learning.measures.target_kind import find_target_kind
from fedcoin.learning.training.input_range import (
    InputRange,
    check_divisor,
    measure_inputs,
    read_divisor,
)
from fedcoin.v1 import task_pb2

Array = npt.NDArray[np.generic]


def list_client_files(folder: Path) -> list[Path]:
    """List the clients' files of a folder.

    Args:
        folder: A folder with one file for each client. Hidden files in it (`.name`) are ignored.

    Returns:
        The files, sorted by name.

    Raises:
        RefusalError: NO_UPDATES when there is no folder or no file in it; DUPLICATE_CLIENT when
            two files are of the same client, such as `a.npz` and `a.safetensors`; UNREADABLE_FILE
            when it holds anything else than files of weights, so that no client is left out
            because its file is damaged or in another format.
    """
    if not folder.is_dir():
        raise RefusalError(
            ApplicationCode.NO_UPDATES, f"there is no folder {folder}", field="updates"
        )
    files = sorted(file for file in folder.iterdir() if not file.name.startswith("."))
    if not files:
        raise RefusalError(
            ApplicationCode.NO_UPDATES,
            f"{folder} is empty; it must hold one file of weights for each client",
            field="updates",
        )
    for file in files:
        identify_file(file)
    name, count = Counter(map(client_name, files)).most_common(1)[0]
    if count > 1:
        raise RefusalError(
            ApplicationCode.DUPLICATE_CLIENT,
            f"{folder} has {count} files of the client {name!r}; keep one",
            field="updates",
        )
    return files


def client_name(file: Path) -> str:
    """Name the client of a file of weights.

    Args:
        file: The path of a client's file of weights.

    Returns:
        The file's name without its ending.
    """
    return file.name.removesuffix(".weights.h5") if file.suffix == ".h5" else file.stem


def read_model(path: Path) -> bytes:
    """Read a model's file.

    Args:
        path: A file with Keras' JSON, a `.keras` archive, an ONNX model or a serialised ModelSpec.

    Returns:
        The content of the file; of a `.keras` file only the architecture, as Keras' JSON.

    Raises:
        RefusalError: NO_FILE when there is no such file; UNREADABLE_FILE when it is empty, or an
            archive that is no Keras model.
    """
    _check_exists(path)
    content = path.read_bytes()
    if content.startswith(b"PK") or not content:
        if identify_file(path) is not FileKind.KERAS:
            raise unreadable(
                path,
                "holds weights without an architecture; give the model as Keras' JSON, .keras or "
                "ONNX",
            )
        return read_architecture(path).encode()
    return content


@dataclass(frozen=True, slots=True)
class EvaluationFile:
    """What a file of an evaluation set holds."""

    tensors: bytes
    """`x` as float32 and `y` as int64, or as float32 for a measure of regression, in encoded
    tensors."""
    num_examples: int
    labels: Array
    """`y`, int64 (m,) or (m, positions), or float32 for a measure of regression."""
    inputs: InputRange
    """The range of the inputs in the file, and what they were divided by."""


def read_evaluation(
    path: Path, scale: float = 0.0, utility: int = task_pb2.UTILITY_ACCURACY
) -> EvaluationFile:
    """Read an evaluation set.

    Args:
        path: A file that `files.examples` reads, with `x` (m, ...) and `y` (m,), or `x_test` and
            `y_test`, or a table.
        scale: What to divide the inputs by; 0 for the array `scale` of the file or, without one,
            nothing.
        utility: The `Utility` that it is for: `y` may be (m, outputs) numbers for a measure of
            regression, and (m, positions) labels for one of tokens.

    Returns:
        The encoded tensors, the labels and what is known of the inputs.

    Raises:
        RefusalError: NO_FILE, UNREADABLE_FILE or MISSING_PACKAGE when the file cannot be opened;
            WRONG_NAMES when it has no inputs or no labels; WRONG_SHAPE when arrays are empty or do
            not match; WRONG_DTYPE or LABEL_OUT_OF_RANGE when labels are no classes; NOT_FINITE when
            an input is NaN or infinite; BAD_DATASET when the scale is no number to divide by.
    """
    examples = read_examples(path, (ALL, TEST))
    part = ALL if ALL in examples.parts else TEST
    x, y = examples.parts[part]
    name = examples.names[part][1]
    labels, changes = read_targets(path, name, y, find_target_kind(utility))
    if x.ndim < 2 or not len(labels):
        raise _bad_data(
            LearningCode.WRONG_SHAPE,
            f"{path} has x of shape {x.shape} and y of shape {y.shape}; they must be (m, ...) and "
            "(m,) with m at least 1",
        )
    divisor = scale or read_divisor(
        path, {} if examples.scale is None else {"scale": examples.scale}
    )
    check_divisor(divisor)
    inputs = _to_float32(path, "x", x) / np.float32(divisor)
    tensors = encode_tensors({"x": inputs, "y": labels})
    measured = replace(measure_inputs([x], divisor), remarks=(*examples.remarks, *changes))
    return EvaluationFile(tensors, len(labels), labels, measured)


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


def _check_exists(path: Path) -> None:
    if not path.is_file():
        raise RefusalError(LearningCode.NO_FILE, f"there is no file {path}", field=path.name)


def _bad_data(code: LearningCode, sentence: str) -> RefusalError:
    return RefusalError(code, sentence, field="data")
