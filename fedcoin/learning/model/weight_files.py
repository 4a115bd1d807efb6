"""Read a model's weights from a file of any format that `fedcoin.learning.files` opens.

Keras' own files number a layer's variables; which numbers belong to which weight only Keras knows,
so it reads them into the model. All other files are read without TensorFlow.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from fedcoin.data.artifacts.tensors import encode_tensors
from fedcoin.data.errors import RefusalError
from fedcoin.learning.errors import LearningCode
from fedcoin.learning.files.array_files import open_arrays
from fedcoin.learning.files.file_kinds import FileKind, identify_file
from fedcoin.learning.files.hdf5_format import KERAS_KIND, extract_weights
from fedcoin.learning.files.stored_arrays import StoredArrays, unreadable
from fedcoin.learning.files.weight_names import NamedWeights, read_named_weights, to_float32
from fedcoin.learning.model import keras_models
from fedcoin.learning.model.aggregation import MAX_NUM_SAMPLES
from fedcoin.learning.model.frozen_weights import PartlyTrainedModel, freeze_weights
from fedcoin.learning.model.spec import is_onnx, parse_spec, trained_shapes, weight_shapes
from fedcoin.v1 import artifact_pb2

NUM_SAMPLES = "num_samples"
"""The array that holds a client's number of training examples beside its weights."""


@dataclass(frozen=True, slots=True)
class WeightsFile:
    """What a file of weights holds."""

    tensors: bytes
    """The weights as encoded float32 tensors, in the model's order."""
    num_samples: int | None
    """The client's number of training examples; None if the file does not have it."""
    remarks: tuple[str, ...] = ()
    """What was changed or left out on reading, a phrase each."""


def needs_keras(path: Path) -> bool:
    """Tell whether reading a file of weights imports TensorFlow, as in a worker process.

    Args:
        path: A file in any format that `open_arrays` opens.

    Returns:
        True when its variables are numbered, as Keras 3 writes them.

    Raises:
        RefusalError: NO_FILE when there is no file; UNREADABLE_FILE when it is damaged or in
            another format; MISSING_PACKAGE when its format needs a package that is not installed.
    """
    if identify_file(path) not in (FileKind.HDF5, FileKind.KERAS):
        return False
    with open_arrays(path) as stored:
        return stored.kind == KERAS_KIND


def read_weights_file(path: Path, spec_raw: bytes, is_whole: bool = False) -> WeightsFile:
    """Read a model's weights.

    Args:
        path: A file that `open_arrays` opens, with arrays named as the model's weights or, without
            names, in their order, and possibly `num_samples`.
        spec_raw: The serialised ModelSpec.
        is_whole: Whether the file holds the frozen weights as well, and they are wanted.

    Returns:
        The encoded weights, of a model with frozen ones the trained ones or all; the number of
        examples if the file has it; and what was changed.

    Raises:
        RefusalError: BAD_SAMPLES when `num_samples` is not an integer in range; NO_FILE,
            UNREADABLE_FILE or MISSING_PACKAGE when the file cannot be opened; WRONG_NAMES,
            WRONG_SHAPE, WRONG_DTYPE, NOT_FINITE or OUT_OF_RANGE when its arrays are not the model's
            weights; MODEL_TOO_LARGE, BAD_MODEL or FORBIDDEN_LAYER when the model is not accepted.
    """
    spec = parse_spec(spec_raw)
    with open_arrays(path) as stored:
        if stored.kind == KERAS_KIND:
            if is_onnx(spec):
                raise unreadable(
                    path, "is of a Keras model, but the model is an ONNX graph; save its tensors"
                )
            samples: int | None = None
            named = _read_by_keras(path, stored, spec_raw)
            if not is_whole:
                named = _without_frozen(named, spec)
        else:
            samples, rest = _take_num_samples(stored)
            named = read_named_weights(
                rest, weight_shapes(spec) if is_whole else trained_shapes(spec)
            )
    return WeightsFile(encode_tensors(named.arrays), samples, named.remarks)


def continue_from(
    path: Path, spec_raw: bytes, weights_raw: bytes, patterns: Sequence[str]
) -> tuple[PartlyTrainedModel, tuple[str, ...]]:
    """Replace a model's weights by those of a file, such as the average of an earlier campaign.

    Args:
        path: A file as `read_weights_file` reads, with all weights of the model; where `patterns`
            are given, the trained ones alone are enough.
        spec_raw: The serialised ModelSpec, which names no trained weights.
        weights_raw: All weights of the model, encoded; of them the frozen ones stay where the file
            does not hold them.
        patterns: Names of weights to train (`freeze_weights`); none for all.

    Returns:
        The model with the file's weights; and what was changed on reading, a phrase each.

    Raises:
        RefusalError: A code of `read_weights_file`, such as WRONG_NAMES or WRONG_SHAPE, when the
            file does not hold the model's weights; BAD_MODEL when a pattern fits no weight.
    """
    divided = freeze_weights(spec_raw, weights_raw, patterns)
    try:
        whole = read_weights_file(path, spec_raw, is_whole=True)
    except RefusalError as refusal:
        if refusal.code is not LearningCode.WRONG_NAMES or not divided.frozen:
            raise
        try:
            part = read_weights_file(path, divided.spec)
        except RefusalError:
            raise refusal from None
        return replace(divided, trained=part.tensors), part.remarks
    return freeze_weights(spec_raw, whole.tensors, patterns), whole.remarks


def _take_num_samples(stored: StoredArrays) -> tuple[int | None, StoredArrays]:
    if NUM_SAMPLES not in stored.arrays:
        return None, stored
    rest = {name: array for name, array in stored.arrays.items() if name != NUM_SAMPLES}
    entry = stored.arrays[NUM_SAMPLES]
    samples = stored.load([NUM_SAMPLES])[NUM_SAMPLES].reshape(-1) if _is_one(entry) else None
    if samples is None or not 1 <= int(samples[0]) <= MAX_NUM_SAMPLES:
        raise RefusalError(
            LearningCode.BAD_SAMPLES,
            f"{stored.path} has a {NUM_SAMPLES} that is not an integer from 1 to {MAX_NUM_SAMPLES}",
            field=NUM_SAMPLES,
            limit=str(MAX_NUM_SAMPLES),
        )
    return int(samples[0]), StoredArrays(stored.path, stored.kind, rest, stored.remarks)


def _is_one(entry: Any) -> bool:
    # A tensor of safetensors or PyTorch often has one dimension.
    return entry.dtype.kind in "ui" and entry.shape in ((), (1,))


def _read_by_keras(path: Path, stored: StoredArrays, spec_raw: bytes) -> NamedWeights:
    """Let Keras assign the variables of a file to the model's weights."""
    spec = parse_spec(spec_raw)
    shapes = weight_shapes(spec)
    # The state of random layers is stored beside the weights, as integers.
    weights = {name: entry for name, entry in stored.arrays.items() if entry.dtype.kind == "f"}
    held = sorted(entry.shape for entry in weights.values())
    if held != sorted(shapes.values()):
        raise RefusalError(
            LearningCode.WRONG_SHAPE,
            f"{path} holds {len(held)} weights of the shapes {held[:6]}; the model has "
            f"{len(shapes)} of the shapes {sorted(shapes.values())[:6]}",
            field=path.name,
        )
    model = keras_models.model_from_spec(spec_raw)
    _load(model, path)
    arrays = {
        name: to_float32(path, name, array)
        for name, array in keras_models.named_weights(model, spec).items()
    }
    return NamedWeights(arrays, (*stored.remarks, "assigned to the model's weights by Keras"))


def _without_frozen(named: NamedWeights, spec: artifact_pb2.ModelSpec) -> NamedWeights:
    """Leave the frozen weights out, which Keras' files of a model always hold."""
    trained = trained_shapes(spec)
    if len(trained) == len(named.arrays):
        return named
    arrays = {name: named.arrays[name] for name in trained}
    return NamedWeights(arrays, (*named.remarks, "the frozen weights left out"))


def _load(model: Any, path: Path) -> None:
    with ExitStack() as stack:
        source = path
        if identify_file(path) is FileKind.KERAS:
            source = stack.enter_context(extract_weights(path))
        elif not path.name.endswith(".weights.h5"):
            # Keras tells its two formats apart by the name.
            folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="fedcoin-keras-"))
            source = Path(folder) / "model.weights.h5"
            source.symlink_to(path.absolute())
        try:
            model.load_weights(str(source))
        except Exception as error:  # Keras raises any class of exception
            reason = " ".join(str(error).split())[:300]
            raise unreadable(path, f"does not fit the model: {reason}") from error
