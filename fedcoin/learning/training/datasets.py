"""Load inputs and labels: the digits that ship with the package, MNIST, or a file of one's own.

A data set is a file with the arrays `x_train`, `y_train`, `x_test` and `y_test`, under these names
or others that `files.examples` knows; one client's data, or an evaluation set, may be `x` and `y`
or a table. Inputs become
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
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from fedcoin.data.artifacts.tensors import encode_tensors
from fedcoin.data.errors import RefusalError
from fedcoin.learning.errors import LearningCode
from fedcoin.learning.files.examples import ALL, TEST, TRAIN, read_examples
from fedcoin.learning.files.targets import guess_target_kind, read_targets
from fedcoin.learning.measures.measure import Targets
from fedcoin.learning.measures.target_kind import TargetKind, count_outputs
from fedcoin.learning.training.input_range import (
    InputRange,
    check_divisor,
    measure_inputs,
    read_divisor,
)

Floats = npt.NDArray[np.float32]

MNIST_VARIABLE = "FEDCOIN_MNIST"
"""The environment variable that holds the path of an `mnist.npz`."""

_DIGITS = Path(__file__).with_name("digits.npz")


@dataclass(frozen=True, slots=True)
class Dataset:
    """Inputs float32 (m, ...) and targets (m, ...), for training and for testing.

    Targets are as `TargetKind` describes them, such as labels int64 (m,) from 0. The arrays for
    testing are empty in a data set that was loaded without them.
    """

    x_train: Floats
    y_train: npt.NDArray[Any]
    x_test: Floats
    y_test: npt.NDArray[Any]
    inputs: InputRange
    """The range of all inputs in the file, and what they were divided by."""
    kind: TargetKind = TargetKind.CLASSES
    """What the targets are."""

    @property
    def input_shape(self) -> tuple[int, ...]:
        """The shape of one example."""
        return tuple(self.x_train.shape[1:])

    @property
    def num_classes(self) -> int:
        """How many outputs a model needs, as `count_outputs` counts them."""
        return count_outputs(self.kind, (self.y_train, self.y_test))


def load_dataset(
    name: str,
    *,
    need_test: bool = True,
    scale: float = 0.0,
    kind: TargetKind | None = TargetKind.CLASSES,
) -> Dataset:
    """Load a data set.

    Args:
        name: `digits`, `mnist` (the file that the environment variable FEDCOIN_MNIST names), or the
            path of a file that `files.examples` reads.
        need_test: Whether the arrays for testing must be there. False for a client's own file,
            which need not be divided in parts, either.
        scale: What to divide the inputs by; 0 for the array `scale` of the file or, without one,
            nothing.
        kind: What the targets must be; None for what `guess_target_kind` takes them for.

    Returns:
        Arrays for training and, where the file has them, for testing; inputs are divided already.

    Raises:
        RefusalError: UNKNOWN_DATASET when there is no such data set or file; BAD_DATASET when the
            file's arrays are missing, do not match each other or hold invalid numbers, or `scale`
            is no number to divide by.
    """
    if scale:
        check_divisor(scale)
    return _load_divided(_find_file(name), need_test, scale, kind)


def _find_file(name: str) -> Path:
    if name == "digits":
        return _DIGITS
    if name == "mnist":
        mnist = os.environ.get(MNIST_VARIABLE, "")
        if not mnist:
            raise RefusalError(
                LearningCode.UNKNOWN_DATASET,
                f"mnist does not ship with the package: set {MNIST_VARIABLE} to the path of an "
                "mnist.npz, or give the path itself",
                field="dataset",
            )
        return Path(mnist)
    path = Path(name)
    if not path.suffix and not path.exists():
        raise RefusalError(
            LearningCode.UNKNOWN_DATASET,
            f"there is no data set {name!r}; give digits, mnist or the path of a file",
            field="dataset",
            limit="digits, mnist, PATH",
        )
    return path


def _load_divided(path: Path, need_test: bool, scale: float, kind: TargetKind | None) -> Dataset:
    held = _read_parts(path, (TRAIN, TEST) if need_test else (TRAIN, TEST, ALL), scale, kind)
    train = held.parts.get(TRAIN) or held.parts.get(ALL)
    if train is None or (need_test and TEST not in held.parts):
        lacking = TRAIN if train is None else TEST
        raise _bad_dataset(path, f"has no x_{lacking} and y_{lacking}")
    test = held.parts.get(TEST) or (train[0][:0], train[1][:0])
    if train[0].shape[1:] != test[0].shape[1:]:
        raise _bad_dataset(
            path,
            f"has inputs of shape {train[0].shape} for training but {test[0].shape} for testing",
        )
    return Dataset(*train, *test, held.inputs, held.kind)


@dataclass(frozen=True, slots=True)
class _Parts:
    """The parts of a file of data, converted."""

    parts: dict[str, tuple[Floats, Targets]]
    inputs: InputRange
    kind: TargetKind


def _read_parts(path: Path, wanted: Sequence[str], scale: float, kind: TargetKind | None) -> _Parts:
    try:
        examples = read_examples(path, wanted)
        divisor = scale or read_divisor(
            path, {} if examples.scale is None else {"scale": examples.scale}
        )
        check_divisor(divisor)
        parts, remarks = {}, list(examples.remarks)
        for part, (x, y) in examples.parts.items():
            x_name, y_name = examples.names[part]
            kind = kind or guess_target_kind(path, y_name, y)
            targets, changes = read_targets(path, y_name, y, kind)
            parts[part] = (_read_inputs(path, x_name, x, divisor), targets)
            remarks.extend(change for change in changes if change not in remarks)
            if not len(targets):
                raise _bad_dataset(path, f"has no examples in {x_name}")
    except RefusalError as refusal:
        if refusal.code is LearningCode.MISSING_PACKAGE:
            raise
        is_missing = refusal.code is LearningCode.NO_FILE
        code = LearningCode.UNKNOWN_DATASET if is_missing else LearningCode.BAD_DATASET
        raise RefusalError(code, refusal.message, field="dataset") from refusal
    arrays = [x for x, _ in examples.parts.values()]
    inputs = replace(measure_inputs(arrays, divisor), remarks=tuple(remarks))
    return _Parts(parts, inputs, kind or TargetKind.CLASSES)


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
    """Replace some of the training targets by wrong ones.

    Args:
        dataset: The data set, which is not changed. Its labels become other classes; targets of
            another kind become those of other examples.
        fraction: The fraction of the targets to replace, 0 to 1.
        seed: Seeds the choice of examples and labels.

    Returns:
        A data set with new training targets.

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
    targets = dataset.y_train.copy()
    wrong = generator.permutation(len(targets))[: round(fraction * len(targets))]
    if dataset.kind is not TargetKind.CLASSES:
        targets[wrong] = targets[np.roll(wrong, 1)]
        return replace(dataset, y_train=targets)
    labels = targets.astype(np.int64)
    labels[wrong] += generator.integers(1, dataset.num_classes, len(wrong))
    labels %= dataset.num_classes
    return replace(dataset, y_train=labels)


@dataclass(frozen=True, slots=True)
class EvaluationSet:
    """A test set cut into shards of consecutive examples and of about equal size."""

    shards: tuple[bytes, ...]
    """Each shard as encoded tensors: `x` float32; `y` uint8, or int64 for over 256 classes and for
    tokens, or float32 for numbers."""
    sizes: tuple[int, ...]
    """How many examples each shard holds."""
    input_shape: tuple[int, ...]
    """The shape of one example."""
    num_classes: int
    """How many outputs a model needs, as `count_outputs` counts them."""
    inputs: InputRange
    """The range of all inputs in the data set's file, and what they were divided by."""
    positions: int = 0
    """How many targets an example has, for tokens (m, positions); else 0."""


def load_evaluation_set(
    name: str,
    size: int = 0,
    num_shards: int = 1,
    scale: float = 0.0,
    kind: TargetKind = TargetKind.CLASSES,
) -> EvaluationSet:
    """Load the test set of a data set, or the first examples of it.

    A file with `x` and `y` alone, or a table, is an evaluation set as a whole.

    Args:
        name: `digits`, `mnist`, or the path of a file that `files.examples` reads.
        size: How many examples; 0 for all.
        num_shards: The number of shards.
        scale: What to divide the inputs by; 0 for the array `scale` of the file or, without one,
            nothing.
        kind: What the targets must be.

    Returns:
        The first `size` examples, encoded in `num_shards` parts whose sizes differ by at most one.

    Raises:
        RefusalError: BAD_SHARE when there are fewer examples than `size` or `num_shards`;
            UNKNOWN_DATASET when there is no such data set or file; BAD_DATASET when its arrays or
            `scale` are invalid.
    """
    if scale:
        check_divisor(scale)
    path = _find_file(name)
    held = _read_parts(path, (TRAIN, TEST, ALL), scale, kind)
    chosen = held.parts.get(TEST) or held.parts.get(ALL)
    if chosen is None:
        raise _bad_dataset(path, "has no x_test and y_test, nor x and y, to evaluate on")
    x, y = chosen
    num_classes = count_outputs(kind, [targets for _, targets in held.parts.values()])
    available = len(y)
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
    if kind is TargetKind.CLASSES and num_classes <= 256:
        y = y.astype(np.uint8)
    return EvaluationSet(
        shards=tuple(
            encode_tensors({"x": x[begin:end], "y": y[begin:end]})
            for begin, end in pairwise(bounds)
        ),
        sizes=tuple(end - begin for begin, end in pairwise(bounds)),
        input_shape=tuple(x.shape[1:]),
        num_classes=num_classes,
        inputs=held.inputs,
        positions=y.shape[1] if kind is TargetKind.TOKENS and y.ndim == 2 else 0,
    )


def _read_inputs(path: Path, name: str, array: npt.NDArray[np.generic], divisor: float) -> Floats:
    if array.dtype.kind not in "uif" or not 2 <= array.ndim <= 8 or 0 in array.shape[1:]:
        raise _bad_dataset(
            path,
            f"has {name} of {array.dtype} and shape {array.shape}; it must be numbers of shape "
            "(m, ...) with 2 to 8 dimensions",
        )
    with np.errstate(over="ignore"):
        floats = array.astype(np.float32)
    if not np.isfinite(floats).all():
        raise _bad_dataset(path, f"has NaN, infinity or a number beyond float32 in {name}")
    if divisor != 1:
        floats /= np.float32(divisor)
    return floats


def _generator(seed: int) -> np.random.Generator:
    return np.random.Generator(np.random.PCG64(seed % (1 << 64)))


def _bad_dataset(path: Path, fault: str) -> RefusalError:
    return RefusalError(LearningCode.BAD_DATASET, f"{path} {fault}", field="dataset")
