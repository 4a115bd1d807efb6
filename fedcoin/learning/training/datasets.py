"""Load images and labels: the digits that ship with the package, MNIST, or any `.npz` file.

A data set is a file with the arrays `x_train`, `y_train`, `x_test` and `y_test`. Inputs become
float32 once, here, and keep their values, whatever their dtype. They are divided only when the
caller says by what, or the file does in an array `scale`. `Dataset.inputs` has the range that was
read.

`digits` is *Optical Recognition of Handwritten Digits* (E. Alpaydin, C. Kaynak; UCI Machine
Learning Repository, doi:10.24432/C50P49; CC BY 4.0), 8 x 8 pixels from 0 to 16, in a
fixed split of 1,437 images for training and 360 for testing, made by
`scripts/tools/make_digits.py`.

Wherever a seed is given, the random numbers come from NumPy's PCG64, so that results are the same
on every machine.
"""

from __future__ import annotations

import os
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import numpy.typing as npt

from fedcoin.data.artifacts.tensors import encode_tensors
from fedcoin.data.errors import RefusalError
from fedcoin.learning.errors import LearningCode
from fedcoin.learning.training.input_range import (
    InputRange,
    check_divisor,
    measure_inputs,
    read_divisor,
)

Floats = npt.NDArray[np.float32]
Labels = npt.NDArray[np.int64]

MNIST_VARIABLE = "FEDCOIN_MNIST"
"""The environment variable that holds the path of an `mnist.npz`."""

MAX_ARRAY_BYTES = 4 << 30
"""Size of one array of inputs as float32, in bytes."""

MAX_CLASSES = 100_000

_DIGITS = Path(__file__).with_name("digits.npz")


@dataclass(frozen=True, slots=True)
class Dataset:
    """Inputs float32 (m, ...) and labels int64 (m,), from 0, for training and for testing.

    The arrays for testing are empty in a data set that was loaded without them.
    """

    x_train: Floats
    y_train: Labels
    x_test: Floats
    y_test: Labels
    inputs: InputRange
    """The range of all inputs in the file, and what they were divided by."""

    @property
    def input_shape(self) -> tuple[int, ...]:
        """The shape of one example."""
        return tuple(self.x_train.shape[1:])

    @property
    def num_classes(self) -> int:
        """One more than the highest label, and at least 2."""
        return max(2, *(int(y.max()) + 1 for y in (self.y_train, self.y_test) if len(y)))


def load_dataset(name: str, *, need_test: bool = True, scale: float = 0.0) -> Dataset:
    """Load a data set.

    Args:
        name: `digits`, `mnist` (the file that the environment variable FEDCOIN_MNIST names), or the
            path of an `.npz` file.
        need_test: Whether the arrays for testing must be there; false for a client's own file.
        scale: What to divide the inputs by; 0 for the array `scale` of the file or, without one,
            nothing.

    Returns:
        The data set.

    Raises:
        RefusalError: UNKNOWN_DATASET when there is no such data set or file; BAD_DATASET when the
            file's arrays are missing, do not match each other or hold invalid numbers, or `scale`
            is no number to divide by.
    """
    if scale:
        check_divisor(scale)
    return _read_npz(_find_file(name), need_test, scale)


def _find_file(name: str) -> Path:
    if name == "digits":
        return _DIGITS
    if name == "mnist":
        path = os.environ.get(MNIST_VARIABLE, "")
        if not path:
            raise RefusalError(
                LearningCode.UNKNOWN_DATASET,
                f"mnist does not ship with the package: set {MNIST_VARIABLE} to the path of an "
                "mnist.npz, or give the path itself",
                field="dataset",
            )
        return Path(path)
    if not name.endswith(".npz"):
        raise RefusalError(
            LearningCode.UNKNOWN_DATASET,
            f"there is no data set {name!r}; give digits, mnist or the path of an .npz file",
            field="dataset",
            limit="digits, mnist, PATH.npz",
        )
    return Path(name)


def _read_npz(path: Path, need_test: bool, scale: float) -> Dataset:
    names = ["x_train", "y_train", "x_test", "y_test"]
    arrays = _read_arrays(path, {*names, "scale"})
    if not need_test and not {"x_test", "y_test"} & set(arrays):
        arrays["x_test"], arrays["y_test"] = (
            arrays.get(name, np.empty(0))[:0] for name in names[:2]
        )
    missing = [name for name in names if name not in arrays]
    if missing:
        raise _bad_dataset(path, f"has no {', '.join(missing)}; it must hold {', '.join(names)}")
    divisor = scale or read_divisor(path, arrays)
    train = _read_inputs(path, "x_train", arrays, divisor), _read_labels(path, "y_train", arrays)
    test = _read_inputs(path, "x_test", arrays, divisor), _read_labels(path, "y_test", arrays)
    for part, (x, y) in (("train", train), ("test", test)):
        if len(x) != len(y):
            raise _bad_dataset(
                path, f"has {len(x)} inputs in x_{part} but {len(y)} labels in y_{part}"
            )
    if not len(train[0]) or (need_test and not len(test[0])):
        raise _bad_dataset(path, "has no examples")
    if train[0].shape[1:] != test[0].shape[1:]:
        raise _bad_dataset(
            path, f"has x_train of shape {train[0].shape} but x_test of shape {test[0].shape}"
        )
    inputs = measure_inputs([arrays["x_train"], arrays["x_test"]], divisor)
    return Dataset(*train, *test, inputs)


def partition_bounds(num_examples: int, proportions: Sequence[float]) -> list[int]:
    """Divide consecutive examples into parts of about these proportions, none of them empty.

    Args:
        num_examples: How many examples there are, at least as many as parts.
        proportions: The size of each part relative to the others, above 0.

    Returns:
        One more number than there are parts, from 0 to `num_examples`. Part i holds the examples
        from bound i up to, but without, bound i + 1.
    """
    spare = num_examples - len(proportions)
    sums = np.cumsum([0.0, *proportions])
    return [index + int(spare * (part / sums[-1])) for index, part in enumerate(sums)]


def mislabel(dataset: Dataset, fraction: float, seed: int) -> Dataset:
    """Replace some of the training labels by other, wrong ones.

    Args:
        dataset: The data set.
        fraction: The fraction of the labels to replace, 0 to 1.
        seed: Seeds the choice of examples and labels.

    Returns:
        A data set with new training labels.

    Raises:
        RefusalError: BAD_SHARE when the fraction is out of range.
    """
    if not 0 <= fraction <= 1:
        raise RefusalError(
            LearningCode.BAD_SHARE,
            f"noise is {fraction}; it must be a fraction from 0 to 1",
            field="noise",
            limit="0 to 1",
        )
    generator = _generator(seed)
    labels = dataset.y_train.copy()
    wrong = generator.permutation(len(labels))[: round(fraction * len(labels))]
    labels[wrong] += generator.integers(1, dataset.num_classes, len(wrong))
    labels %= dataset.num_classes
    return replace(dataset, y_train=labels)


@dataclass(frozen=True, slots=True)
class EvaluationSet:
    """A test set cut into shards of consecutive examples and of about equal size."""

    shards: tuple[bytes, ...]
    """Each shard as encoded tensors: `x` float32; `y` uint8, or int64 for over 256 classes."""
    sizes: tuple[int, ...]
    """How many examples each shard holds."""
    input_shape: tuple[int, ...]
    """The shape of one example."""
    num_classes: int
    """The number of classes: labels are from 0 to `num_classes` - 1."""
    inputs: InputRange
    """The range of all inputs in the data set's file, and what they were divided by."""


def load_evaluation_set(
    name: str, size: int = 0, num_shards: int = 1, scale: float = 0.0
) -> EvaluationSet:
    """Load the test set of a data set, or the first examples of it.

    Args:
        name: As in `load_dataset`.
        size: How many examples; 0 for all.
        num_shards: The number of shards.
        scale: As in `load_dataset`.

    Returns:
        The evaluation set.

    Raises:
        RefusalError: BAD_SHARE when there are fewer examples than `size` or `num_shards`; otherwise
            as in `load_dataset`.
    """
    dataset = load_dataset(name, scale=scale)
    available = len(dataset.y_test)
    if not 0 <= size <= available:
        raise RefusalError(
            LearningCode.BAD_SHARE,
            f"an evaluation set of {size} examples is not possible: {name} has {available} for "
            "testing",
            field="evaluation_size",
            limit=str(available),
        )
    size = size or available
    if not 1 <= num_shards <= size:
        raise RefusalError(
            LearningCode.BAD_SHARE,
            f"{size} examples for testing cannot be cut into {num_shards} shards; ask for 1 to "
            f"{size}",
            field="evaluation_shards",
            limit=str(size),
        )
    bounds = partition_bounds(size, [1.0] * num_shards)
    label_dtype = np.uint8 if dataset.num_classes <= 256 else np.int64
    x, y = dataset.x_test, dataset.y_test.astype(label_dtype)
    return EvaluationSet(
        shards=tuple(
            encode_tensors({"x": x[begin:end], "y": y[begin:end]})
            for begin, end in pairwise(bounds)
        ),
        sizes=tuple(end - begin for begin, end in pairwise(bounds)),
        input_shape=dataset.input_shape,
        num_classes=dataset.num_classes,
        inputs=dataset.inputs,
    )


def _read_arrays(path: Path, names: set[str]) -> dict[str, npt.NDArray[np.generic]]:
    if not path.is_file():
        raise RefusalError(
            LearningCode.UNKNOWN_DATASET, f"there is no file {path}", field="dataset"
        )
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
            return {name: archive[name] for name in archive.files if name in names}
    except (ValueError, TypeError, AttributeError, EOFError, OSError, zipfile.BadZipFile) as error:
        raise _bad_dataset(path, f"cannot be read as .npz without pickles: {error}") from error


def _read_inputs(
    path: Path, name: str, arrays: dict[str, npt.NDArray[np.generic]], divisor: float
) -> Floats:
    array = arrays[name]
    if array.dtype.kind not in "uif" or not 2 <= array.ndim <= 8 or 0 in array.shape[1:]:
        raise _bad_dataset(
            path,
            f"has {name} of {array.dtype} and shape {array.shape}; it must be numbers of shape "
            "(m, ...) with 2 to 8 dimensions",
        )
    if array.size * 4 > MAX_ARRAY_BYTES:
        raise _bad_dataset(
            path, f"has {name} of {array.size} numbers; the limit is {MAX_ARRAY_BYTES // 4}"
        )
    with np.errstate(over="ignore"):
        floats = array.astype(np.float32)
    if not np.isfinite(floats).all():
        raise _bad_dataset(path, f"has NaN, infinity or a number beyond float32 in {name}")
    if divisor != 1:
        floats /= np.float32(divisor)
    return floats


def _read_labels(path: Path, name: str, arrays: dict[str, npt.NDArray[np.generic]]) -> Labels:
    array = arrays[name]
    if array.ndim == 2 and array.shape[1] == 1:
        array = array[:, 0]
    if array.ndim != 1 or (array.dtype.kind not in "ui" and len(array)):
        raise _bad_dataset(
            path, f"has {name} of {array.dtype} and shape {array.shape}; it must be integers (m,)"
        )
    labels = array.astype(np.int64)
    if len(labels) and not 0 <= labels.min() <= labels.max() < MAX_CLASSES:
        raise _bad_dataset(
            path,
            f"has labels from {labels.min()} to {labels.max()} in {name}; they must be 0 to "
            f"{MAX_CLASSES - 1}",
        )
    return labels


def _generator(seed: int) -> np.random.Generator:
    return np.random.Generator(np.random.PCG64(seed % (1 << 64)))


def _bad_dataset(path: Path, fault: str) -> RefusalError:
    return RefusalError(LearningCode.BAD_DATASET, f"{path} {fault}", field="dataset")
