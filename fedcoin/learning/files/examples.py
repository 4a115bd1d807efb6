"""Find inputs and labels in a file of data, by the names that people give them."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

from fedcoin.data.errors import RefusalError
from fedcoin.learning.errors import LearningCode
from fedcoin.learning.files.array_files import open_arrays
from fedcoin.learning.files.file_kinds import FileKind, identify_file
from fedcoin.learning.files.stored_arrays import Array, StoredArrays
from fedcoin.learning.files.table_files import read_table

ALL, TRAIN, VALIDATION, TEST = "all", "train", "val", "test"
"""The parts of a file of data. `ALL` is of files that are not divided, such as tables."""

SCALE = "scale"
"""The name of a number by which a file says that its inputs are to be divided."""

MAX_INPUT_BYTES = 4 << 30
"""The largest size of one array of inputs as float32, in bytes."""

_UNDIVIDED = (
    ("x", "y"), ("X", "y"), ("images", "labels"), ("inputs", "labels"), ("features", "labels"),
    ("features", "label"), ("data", "labels"), ("data", "target"), ("X", "Y"),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class ExampleArrays:
    """The arrays of a file of data, as the file holds them."""

    parts: Mapping[str, tuple[Array, Array]]
    """Inputs and labels of each part that was asked for and is there."""
    names: Mapping[str, tuple[str, str]]
    """The names of those arrays in the file."""
    scale: Array | None
    """The file's array `scale`, by which its inputs are to be divided; None when it has none."""
    remarks: tuple[str, ...] = ()
    """What was left out, a phrase each."""


def read_examples(path: Path, parts: Collection[str], label: str = "") -> ExampleArrays:
    """Read inputs and labels.

    Args:
        path: A file of arrays as `open_arrays` opens, or a table as `read_table` reads.
        parts: The parts to read, if they are there.
        label: The labels' column of a table; empty for the column whose name is one of
            `table_files.LABEL_COLUMNS`.

    Returns:
        The arrays of the parts that the file has.

    Raises:
        RefusalError: WRONG_NAMES when the file has none of the parts, or only inputs or labels of
            one; WRONG_SHAPE when inputs take more than `MAX_INPUT_BYTES` as float32, or a part has
            another number of labels than of inputs; NO_FILE, UNREADABLE_FILE or MISSING_PACKAGE
            when the file cannot be opened (`open_arrays`); WRONG_DTYPE or NOT_FINITE when a table
            holds text or empty cells (`read_table`).
    """
    if identify_file(path) in (FileKind.CSV, FileKind.PARQUET):
        table = read_table(path, label)
        if ALL not in parts:
            raise _missing(path, parts, (*table.columns, table.label))
        names = ("the columns", table.label)
        _check_lengths(path, names, table.x, table.y)
        return ExampleArrays({ALL: (table.x, table.y)}, {ALL: names}, None)
    with open_arrays(path) as stored:
        held = find_parts(stored)
        chosen = {part: names for part, names in held.items() if part in parts}
        if not chosen:
            raise _missing(path, parts, tuple(stored.arrays))
        read: dict[str, tuple[Array, Array]] = {}
        for part, (x, y) in chosen.items():
            _check_inputs(stored, x)
            arrays = stored.load([x, y])
            _check_lengths(path, (x, y), arrays[x], arrays[y])
            read[part] = (arrays[x], arrays[y])
        scale = stored.load([SCALE])[SCALE] if SCALE in stored.arrays else None
        unused = [part for part in (VALIDATION,) if part in held and part not in parts]
        remarks = [f"{' and '.join(held[part])} not used" for part in unused]
        return ExampleArrays(read, chosen, scale, (*stored.remarks, *remarks))


def find_parts(stored: StoredArrays) -> dict[str, tuple[str, str]]:
    """Find the names of inputs and labels.

    Args:
        stored: The open file.

    Returns:
        The names of both for each part of the data that the file has.

    Raises:
        RefusalError: WRONG_NAMES when a part has only inputs or only labels.
    """
    candidates = {ALL: _UNDIVIDED, **{part: _names_of(part) for part in (TRAIN, VALIDATION, TEST)}}
    held: dict[str, tuple[str, str]] = {}
    for part, pairs in candidates.items():
        complete = [pair for pair in pairs if set(pair) <= set(stored.arrays)]
        if complete:
            held[part] = complete[0]
            continue
        halves = [pair for pair in pairs if set(pair) & set(stored.arrays)]
        if halves and part != ALL:
            there = set(halves[0]) & set(stored.arrays)
            raise RefusalError(
                LearningCode.WRONG_NAMES,
                f"{stored.path} has {there.pop()}, but not both of {' and '.join(halves[0])}",
                field="data",
            )
    return held


def _names_of(part: str) -> tuple[tuple[str, str], ...]:
    # MedMNIST's files have `train_images` and `train_labels`.
    return (
        (f"x_{part}", f"y_{part}"), (f"X_{part}", f"y_{part}"), (f"X_{part}", f"Y_{part}"),
        (f"{part}_images", f"{part}_labels"), (f"{part}_x", f"{part}_y"),
        (f"{part}_data", f"{part}_labels"), (f"{part}_inputs", f"{part}_labels"),
    )  # fmt: skip


def _check_inputs(stored: StoredArrays, name: str) -> None:
    array = stored.arrays[name]
    if array.num_bytes // max(1, array.dtype.itemsize) * 4 > MAX_INPUT_BYTES:
        raise RefusalError(
            LearningCode.WRONG_SHAPE,
            f"{stored.path} has {name} of shape {array.shape}; the limit is "
            f"{MAX_INPUT_BYTES // 4} numbers",
            field="data",
        )


def _check_lengths(path: Path, names: tuple[str, str], x: Array, y: Array) -> None:
    if not x.ndim or not y.ndim or len(x) != len(y):
        raise RefusalError(
            LearningCode.WRONG_SHAPE,
            f"{path} has {names[0]} of shape {x.shape} but {names[1]} of shape {y.shape}; both "
            "must have one entry for each example",
            field="data",
        )


def _missing(path: Path, parts: Collection[str], held: tuple[str, ...]) -> RefusalError:
    wanted = " or ".join("x and y" if part == ALL else f"x_{part} and y_{part}" for part in parts)
    listed = ", ".join(name[:40] for name in held[:8])
    return RefusalError(
        LearningCode.WRONG_NAMES,
        f"{path} must hold {wanted}; it holds {listed or 'no arrays'}: rename the arrays, or "
        "convert the file (`fedcoin-node convert`)",
        field="data",
    )
