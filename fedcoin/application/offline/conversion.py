"""Convert a file of weights or data into another format, and say what was read and changed."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from fedcoin.application.offline.model_files import load_spec
from fedcoin.data.artifacts.tensors import decode_tensors
from fedcoin.data.errors import RefusalError
from fedcoin.learning.errors import LearningCode
from fedcoin.learning.files.array_files import open_arrays, write_arrays
from fedcoin.learning.files.examples import ALL, TEST, TRAIN, VALIDATION, find_parts, read_examples
from fedcoin.learning.files.file_kinds import FileKind, identify_file
from fedcoin.learning.files.hdf5_format import KERAS_KIND
from fedcoin.learning.files.stored_arrays import Array
from fedcoin.learning.files.targets import guess_target_kind, read_targets
from fedcoin.learning.measures.target_kind import TargetKind
from fedcoin.learning.model.weight_files import NUM_SAMPLES, WeightsFile, read_weights_file
from fedcoin.learning.workers.pool import WorkerPool

_PARTS = (TRAIN, VALIDATION, TEST, ALL)


@dataclass(frozen=True, slots=True)
class LabelRules:
    """How to turn a file's labels into integers from 0, where they are names or start elsewhere."""

    column: str = ""
    """The labels' column of a table; empty for the one named in `table_files.LABEL_COLUMNS`."""
    classes: tuple[str, ...] = ()
    """The names of the classes in the order of their numbers; empty where labels are numbers."""
    first: int = 0
    """The file's number of the first class, which becomes 0; for labels that are integers."""


@dataclass(frozen=True, slots=True)
class ConvertedArray:
    """One array that was written."""

    name: str
    """Its name in the new file."""
    source: str
    """Its name in the file that was read."""
    shape: tuple[int, ...]
    """The shape that was written."""
    dtype: str
    """The dtype that was written."""
    low: float | None
    """The smallest number; None for an empty array."""
    high: float | None
    """The largest number; None for an empty array."""


@dataclass(frozen=True, slots=True)
class Conversion:
    """What was read and written."""

    kind: str
    """The format of the file that was read."""
    arrays: tuple[ConvertedArray, ...]
    """In the order in which they were written."""
    remarks: tuple[str, ...]
    """What was changed or left out, a phrase each."""


async def convert_file(
    source: Path,
    target: Path,
    *,
    model: Path | None = None,
    num_samples: int | None = None,
    rules: LabelRules | None = None,
) -> Conversion:
    """Convert a file into the format that the new file's ending names.

    Data (inputs and labels under names that `files.examples` knows, or a table) are written under
    the names `x_train`, `y_train` and so on, with labels as integers from 0. All other arrays keep
    their names, numbers and dtypes, unless they are weights of `model`.

    Args:
        source: The file to read.
        target: The file to write; an existing one is replaced.
        model: The file of the model whose weights `source` holds, as `read_model` reads; None for
            other files. Weights are written under the model's names as float32.
        num_samples: With `model`, the client's number of training examples, written beside its
            weights; None for what `source` holds, if anything.
        rules: How labels become numbers.

    Returns:
        What was read and written.

    Raises:
        RefusalError: BAD_FORMAT when both files are one, when Keras' numbered variables come
            without a model, `rules` are given for a file that holds no data, or the ending of
            `target` names no format; NO_FILE, UNREADABLE_FILE or MISSING_PACKAGE when `source`
            cannot be read; WRONG_NAMES, WRONG_SHAPE, WRONG_DTYPE, NOT_FINITE or LABEL_OUT_OF_RANGE
            when it does not hold such weights or data.
        WorkerError: A worker process died twice.
    """
    kind = identify_file(source)
    _check_target(source, target)
    if model is not None:
        arrays, sources, remarks = await _read_weights(source, model, num_samples)
    else:
        arrays, sources, remarks = await asyncio.to_thread(_read_plain, source, kind, rules)
    await asyncio.to_thread(write_arrays, target, arrays)
    return Conversion(
        kind.value,
        tuple(_describe(name, sources[name], array) for name, array in arrays.items()),
        remarks,
    )


def _check_target(source: Path, target: Path) -> None:
    if target.exists() and target.samefile(source):
        raise RefusalError(
            LearningCode.BAD_FORMAT,
            f"{target} is the file that is read; name another one to write",
            field="out",
        )


_Read = tuple[dict[str, Array], dict[str, str], tuple[str, ...]]


async def _read_weights(source: Path, model: Path, num_samples: int | None) -> _Read:
    workers = WorkerPool(processes=1)
    try:
        await workers.start()
        spec = await load_spec(workers, model)
        weights: WeightsFile = await workers.run(
            "while reading weights", read_weights_file, source, spec
        )
    finally:
        await workers.stop()
    arrays: dict[str, Array] = dict(decode_tensors(weights.tensors))
    names = {name: name for name in arrays}
    samples = num_samples or weights.num_samples
    if samples is not None:
        arrays[NUM_SAMPLES] = np.array(samples, np.int64)
        names[NUM_SAMPLES] = NUM_SAMPLES
    return arrays, names, weights.remarks


def _read_plain(source: Path, kind: FileKind, rules: LabelRules | None) -> _Read:
    if kind in (FileKind.CSV, FileKind.PARQUET):
        return _read_data(source, rules or LabelRules())
    with open_arrays(source) as stored:
        if stored.kind == KERAS_KIND:
            raise RefusalError(
                LearningCode.BAD_FORMAT,
                f"{source} numbers its variables instead of naming them; give the model, too "
                "(--model)",
                field="model",
            )
        if not find_parts(stored):
            if rules is not None:
                raise RefusalError(
                    LearningCode.BAD_FORMAT,
                    f"{source} holds no inputs and labels, which the options for labels need; "
                    "name the arrays x and y",
                    field="labels",
                )
            arrays = stored.load(list(stored.arrays))
            changed = {
                (entry.stored_as, arrays[name].dtype.name)
                for name, entry in stored.arrays.items()
                if entry.stored_as != arrays[name].dtype.name
            }
            remarks = [f"{old} written as {new}" for old, new in sorted(changed)]
            return arrays, {name: name for name in arrays}, (*stored.remarks, *remarks)
    return _read_data(source, rules or LabelRules())


def _read_data(source: Path, rules: LabelRules) -> _Read:
    examples = read_examples(source, _PARTS, rules.column)
    arrays: dict[str, Array] = {}
    sources: dict[str, str] = {}
    remarks = list(examples.remarks)
    for part, (x, y) in examples.parts.items():
        x_name, y_name = ("x", "y") if part == ALL else (f"x_{part}", f"y_{part}")
        sources[x_name], sources[y_name] = examples.names[part]
        numbered, field = _number(source, y, rules), sources[y_name]
        are_classes = bool(rules.classes or rules.first)
        kind = TargetKind.CLASSES if are_classes else guess_target_kind(source, field, numbered)
        targets, changes = read_targets(source, field, numbered, kind)
        remarks.extend(change for change in changes if change not in remarks)
        arrays[x_name], arrays[y_name] = x, targets
    if rules.classes:
        listed = ", ".join(f"{name} = {number}" for number, name in enumerate(rules.classes))
        remarks.append(f"classes numbered: {listed}")
    if rules.first:
        remarks.append(f"labels lowered by {rules.first}")
    if examples.scale is not None:
        arrays["scale"], sources["scale"] = examples.scale, "scale"
    return arrays, sources, tuple(remarks)


def _number(source: Path, labels: npt.NDArray[np.generic], rules: LabelRules) -> Array:
    """Turn labels of a file into numbers from 0, as the rules say."""
    if not rules.classes:
        return labels - rules.first if rules.first else labels
    numbers = {name: number for number, name in enumerate(rules.classes)}
    texts = [_to_text(label) for label in labels.reshape(len(labels), -1)[:, 0].tolist()]
    unknown = sorted(set(texts) - set(numbers))
    if unknown:
        raise RefusalError(
            LearningCode.LABEL_OUT_OF_RANGE,
            f"{source} has the labels {', '.join(unknown[:5])}, which are not among the classes "
            f"{', '.join(_short(rules.classes))}",
            field="classes",
        )
    return np.array([numbers[text] for text in texts], np.int64)


def _to_text(label: object) -> str:
    if isinstance(label, float) and label.is_integer():
        return str(int(label))
    return label.decode("utf-8", "replace") if isinstance(label, bytes) else str(label)


def _short(names: Sequence[str]) -> list[str]:
    return [*names[:10], "..."] if len(names) > 10 else list(names)


def _describe(name: str, source: str, array: Array) -> ConvertedArray:
    is_empty = not array.size
    return ConvertedArray(
        name,
        source,
        array.shape,
        array.dtype.name,
        None if is_empty else float(array.min()),
        None if is_empty else float(array.max()),
    )
