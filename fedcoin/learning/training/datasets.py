"""Images and labels: the digits that ship with the package, MNIST, or anybody's ``.npz``.

A data set is a file with the arrays ``x_train``, ``y_train``, ``x_test`` and ``y_test``. Its
inputs become float32 once, here: uint8 is divided by 255 (or by the file's own ``scale``, 16 for
the digits), so that pixels lie within 0 to 1; other numbers are taken as they are.

``digits`` is *Optical Recognition of Handwritten Digits* (E. Alpaydin, C. Kaynak; UCI Machine
Learning Repository, doi:10.24432/C50P49; CC BY 4.0), 8 x 8 pixels, in a fixed split of 1,437
images for training and 360 for testing, made by ``scripts/tools/make_digits.py``.
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

Floats = npt.NDArray[np.float32]
Labels = npt.NDArray[np.int64]

DIGITS = Path(__file__).with_name("digits.npz")
MNIST_VARIABLE = "FEDCOIN_MNIST"
MAX_ARRAY_BYTES = 4 << 30
MAX_CLASSES = 100_000


@dataclass(frozen=True, slots=True)
class Dataset:
    """Inputs (m, ...) and labels (m,) from 0, for training and for testing.

    The arrays for testing are empty where a file needs none.
    """

    x_train: Floats
    y_train: Labels
    x_test: Floats
    y_test: Labels

    @property
    def input_shape(self) -> tuple[int, ...]:
        """One example's shape."""
        return tuple(self.x_train.shape[1:])

    @property
    def classes(self) -> int:
        """One more than the highest label, and at least two."""
        return max(2, *(int(y.max()) + 1 for y in (self.y_train, self.y_test) if len(y)))


def load_dataset(name: str, *, need_test: bool = True) -> Dataset:
    """A data set by name (``digits``, ``mnist``) or by the path of an ``.npz`` file.

    ``mnist`` is the file that the variable FEDCOIN_MNIST names. With ``need_test`` false the
    arrays for testing may be missing, as in a client's own file. Raises Refusal UNKNOWN_DATASET
    when there is no such file, BAD_DATASET when it is not what it should be.
    """
    if name == "digits":
        return read_npz(DIGITS, need_test=need_test)
    if name == "mnist":
        path = os.environ.get(MNIST_VARIABLE, "")
        if not path:
            raise RefusalError(
                LearningCode.UNKNOWN_DATASET,
                f"mnist does not ship with the package: set {MNIST_VARIABLE} to the path of an "
                "mnist.npz, or give the path itself",
                field="dataset",
            )
        return read_npz(Path(path), need_test=need_test)
    if not name.endswith(".npz"):
        raise RefusalError(
            LearningCode.UNKNOWN_DATASET,
            f"there is no data set {name!r}; give digits, mnist or the path of an .npz file",
            field="dataset",
            limit="digits, mnist, PATH.npz",
        )
    return read_npz(Path(name), need_test=need_test)


def read_npz(path: Path, *, need_test: bool = True) -> Dataset:
    """The data set in a file; raises as ``load`` does."""
    wanted = ["x_train", "y_train", "x_test", "y_test"]
    arrays = _read_arrays(path, {*wanted, "scale"})
    if not need_test and not {"x_test", "y_test"} & set(arrays):
        arrays["x_test"], arrays["y_test"] = (
            arrays.get(name, np.empty(0))[:0] for name in wanted[:2]
        )
    missing = [name for name in wanted if name not in arrays]
    if missing:
        raise _bad(path, f"has no {', '.join(missing)}; it must hold {', '.join(wanted)}")
    scale = float(arrays["scale"]) if "scale" in arrays and arrays["scale"].ndim == 0 else 255.0
    if not np.isfinite(scale) or scale <= 0:
        raise _bad(path, f"has the scale {scale}; it must be above zero")
    train = _inputs(path, "x_train", arrays, scale), _labels(path, "y_train", arrays)
    test = _inputs(path, "x_test", arrays, scale), _labels(path, "y_test", arrays)
    for part, (x, y) in (("train", train), ("test", test)):
        if len(x) != len(y):
            raise _bad(path, f"has {len(x)} inputs in x_{part} but {len(y)} labels in y_{part}")
    if not len(train[0]) or (need_test and not len(test[0])):
        raise _bad(path, "has no examples")
    if train[0].shape[1:] != test[0].shape[1:]:
        raise _bad(
            path, f"has x_train of shape {train[0].shape} but x_test of shape {test[0].shape}"
        )
    return Dataset(*train, *test)


def take_share(dataset: Dataset, clients: int, index: int, seed: int) -> Dataset:
    """What client ``index`` (from 0) of ``clients`` holds: its own part of the training data.

    The parts are disjoint, drawn at random by ``seed``, and grow: the last client has about three
    times as many examples as the first. The same on every machine. Raises Refusal BAD_SHARE.
    """
    if not 1 <= clients <= len(dataset.y_train) or not 0 <= index < clients:
        raise RefusalError(
            LearningCode.BAD_SHARE,
            f"there is no share {index} of {clients}: {len(dataset.y_train)} examples make 1 to "
            f"{len(dataset.y_train)} shares, counted from 0",
            field="share",
            limit=str(len(dataset.y_train)),
        )
    parts = [1 + 2 * place / max(1, clients - 1) for place in range(clients)]
    ends = split_ends(len(dataset.y_train), parts)
    order = _generator(seed).permutation(len(dataset.y_train))
    mine = order[ends[index] : ends[index + 1]]
    return replace(dataset, x_train=dataset.x_train[mine], y_train=dataset.y_train[mine])


def split_ends(count: int, parts: Sequence[float]) -> list[int]:
    """Where parts in these proportions begin and end, from 0 to ``count``; none is empty.

    ``count`` must be at least the number of parts.
    """
    spare = count - len(parts)
    sums = np.cumsum([0.0, *parts])
    return [place + int(spare * (done / sums[-1])) for place, done in enumerate(sums)]


def mislabel(dataset: Dataset, fraction: float, seed: int) -> Dataset:
    """The same with this fraction (0 to 1) of the training labels replaced by other, wrong ones."""
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
    labels[wrong] += generator.integers(1, dataset.classes, len(wrong))
    labels %= dataset.classes
    return replace(dataset, y_train=labels)


@dataclass(frozen=True, slots=True)
class EvaluationSet:
    """A testing set cut in shards: encoded tensors ``x`` and ``y``, and how many examples each.

    ``x`` is float32, ``y`` uint8, or int64 when there are more than 256 classes.
    """

    shards: tuple[bytes, ...]
    sizes: tuple[int, ...]
    input_shape: tuple[int, ...]
    classes: int


def load_evaluation_set(name: str, size: int = 0, shards: int = 1) -> EvaluationSet:
    """The testing set of a data set for ``load``, or the first ``size`` examples of it.

    The shards are consecutive and of about equal size. Raises what ``load`` raises, and Refusal
    BAD_SHARE when there are too few examples.
    """
    dataset = load_dataset(name)
    count = len(dataset.y_test)
    if not 0 <= size <= count:
        raise RefusalError(
            LearningCode.BAD_SHARE,
            f"{size} examples were asked for, but {name} has {count} for testing",
            field="evaluation_size",
            limit=str(count),
        )
    size = size or count
    if not 1 <= shards <= size:
        raise RefusalError(
            LearningCode.BAD_SHARE,
            f"{size} examples for testing cannot be cut in {shards} shards",
            field="evaluation_shards",
            limit=str(size),
        )
    ends = split_ends(size, [1.0] * shards)
    kind = np.uint8 if dataset.classes <= 256 else np.int64
    x, y = dataset.x_test, dataset.y_test.astype(kind)
    return EvaluationSet(
        shards=tuple(
            encode_tensors({"x": x[begin:end], "y": y[begin:end]}) for begin, end in pairwise(ends)
        ),
        sizes=tuple(end - begin for begin, end in pairwise(ends)),
        input_shape=dataset.input_shape,
        classes=dataset.classes,
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
        raise _bad(path, f"cannot be read as .npz without pickles: {error}") from error


def _inputs(
    path: Path, name: str, arrays: dict[str, npt.NDArray[np.generic]], scale: float
) -> Floats:
    array = arrays[name]
    if array.dtype.kind not in "uif" or not 2 <= array.ndim <= 8 or 0 in array.shape[1:]:
        raise _bad(
            path,
            f"has {name} of {array.dtype} and shape {array.shape}; it must be numbers (m, ...)",
        )
    if array.size * 4 > MAX_ARRAY_BYTES:
        raise _bad(path, f"has {name} of {array.size} numbers; the limit is {MAX_ARRAY_BYTES // 4}")
    if array.dtype == np.uint8:
        scaled: Floats = array.astype(np.float32) / np.float32(scale)
        return scaled
    with np.errstate(over="ignore"):
        floats = array.astype(np.float32)
    if not np.isfinite(floats).all():
        raise _bad(path, f"has NaN, infinity or a number beyond float32 in {name}")
    return floats


def _labels(path: Path, name: str, arrays: dict[str, npt.NDArray[np.generic]]) -> Labels:
    array = arrays[name]
    if array.ndim == 2 and array.shape[1] == 1:
        array = array[:, 0]
    if array.ndim != 1 or (array.dtype.kind not in "ui" and len(array)):
        raise _bad(
            path, f"has {name} of {array.dtype} and shape {array.shape}; it must be integers (m,)"
        )
    labels = array.astype(np.int64)
    if len(labels) and not 0 <= labels.min() <= labels.max() < MAX_CLASSES:
        raise _bad(
            path,
            f"has labels from {labels.min()} to {labels.max()} in {name}; they must be 0 to "
            f"{MAX_CLASSES - 1}",
        )
    return labels


def _generator(seed: int) -> np.random.Generator:
    return np.random.Generator(np.random.PCG64(seed % (1 << 64)))


def _bad(path: Path, sentence: str) -> RefusalError:
    return RefusalError(LearningCode.BAD_DATASET, f"{path} {sentence}", field="dataset")
