"""Read tables, CSV or Parquet: one column of labels, all others numbers.

Nothing in a table is encoded here. Text becomes numbers in a way that all clients must share, so
each owner does it before, or names the classes when it converts the file.
"""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from fedcoin.data.errors import RefusalError
from fedcoin.learning.errors import LearningCode
from fedcoin.learning.files.file_kinds import FileKind, identify_file
from fedcoin.learning.files.stored_arrays import refusing_damage, unreadable

LABEL_COLUMNS = ("label", "labels", "y", "target", "class")
"""The names, in any case, of a column that is taken for the labels without being named."""

MAX_FILE_BYTES = 1 << 30
"""The largest size of a CSV file, in bytes."""

MAX_COLUMNS = 20_000
"""The largest number of columns."""

MAX_NUMBERS = 1 << 28
"""The largest number of cells, held as float64."""

_DELIMITERS = ",;\t"
_ROWS = 4096
"""How many rows are converted at a time."""


@dataclass(frozen=True, slots=True)
class ExampleTable:
    """The examples of a table."""

    columns: tuple[str, ...]
    """The names of the columns of `x`."""
    x: npt.NDArray[np.float64]
    """Numbers, (rows, columns)."""
    y: npt.NDArray[Any]
    """Labels as they are in the file, float64 or text, (rows,)."""
    label: str
    """The name of the labels' column."""


def read_table(path: Path, label: str = "") -> ExampleTable:
    """Read a table.

    Args:
        path: A CSV file in UTF-8 with a row of column names, separated by commas, semicolons or
            tabs; or a Parquet file.
        label: The column of the labels; empty for the one column with a name in `LABEL_COLUMNS`.

    Returns:
        The columns of numbers and the column of labels, rows in the file's order.

    Raises:
        RefusalError: WRONG_NAMES when the labels' column cannot be told; WRONG_DTYPE when another
            column holds text; NOT_FINITE when a cell is empty; NO_FILE when there is no file;
            UNREADABLE_FILE when it is damaged, or larger than this module's limits; MISSING_PACKAGE
            for a Parquet file without pyarrow.
    """
    if identify_file(path) is FileKind.PARQUET:
        return _read_parquet(path, label)
    return _read_csv(path, label)


def _read_csv(path: Path, label: str) -> ExampleTable:
    if path.stat().st_size > MAX_FILE_BYTES:
        raise unreadable(path, f"is larger than {MAX_FILE_BYTES} bytes; save it as Parquet or npz")
    with refusing_damage(path, "a CSV file"), path.open(encoding="utf-8-sig", newline="") as file:
        first = file.readline()
        delimiter = max(_DELIMITERS, key=first.count)
        names = [name.strip() for name in next(csv.reader([first], delimiter=delimiter))]
        place = _find_label(path, names, label)
        blocks: list[npt.NDArray[np.float64]] = []
        labels: list[str] = []
        rows: list[list[str]] = []
        num_rows = 0
        for row in csv.reader(file, delimiter=delimiter):
            if not row:
                continue
            num_rows += 1
            if len(row) != len(names):
                raise unreadable(
                    path,
                    f"has {len(row)} cells in row {num_rows} below the header, which names "
                    f"{len(names)} columns",
                )
            _check_size(path, num_rows * len(names))
            labels.append(row.pop(place).strip())
            rows.append(row)
            if len(rows) == _ROWS:
                blocks.append(_to_numbers(path, rows, names, place, num_rows))
                rows = []
        blocks.append(_to_numbers(path, rows, names, place, num_rows))
        columns = tuple(names[:place] + names[place + 1 :])
        x = np.concatenate(blocks) if num_rows else np.empty((0, len(columns)))
        return ExampleTable(columns, x, _parse_labels(labels), names[place])


def _to_numbers(
    path: Path, rows: list[list[str]], names: Sequence[str], place: int, last_row: int
) -> npt.NDArray[np.float64]:
    columns = [*names[:place], *names[place + 1 :]]
    if not rows:
        return np.empty((0, len(columns)))
    try:
        numbers = np.array(rows, dtype=object).astype(np.float64)
        if np.isfinite(numbers).all():
            return numbers.reshape(len(rows), len(columns))
    except ValueError:
        pass
    for number, row in enumerate(rows, start=last_row - len(rows) + 1):
        for column, cell in zip(columns, row, strict=True):
            _check_cell(path, cell, column, number)
    raise AssertionError("every cell is a number, but the rows are not")


def _check_cell(path: Path, cell: str, column: str, row: int) -> None:
    try:
        value = float(cell)
    except ValueError:
        if not cell.strip() or cell.strip().lower() in ("na", "n/a", "null", "none", "?"):
            value = float("nan")
        else:
            raise RefusalError(
                LearningCode.WRONG_DTYPE,
                f"{path} has {cell[:40]!r} in column {column!r}, row {row}; turn text into numbers "
                "in the same way for all clients, and write decimals with a point",
                field=column,
            ) from None
    if not np.isfinite(value):
        raise RefusalError(
            LearningCode.NOT_FINITE,
            f"{path} has no finite number in column {column!r}, row {row} ({cell[:20]!r}); fill "
            "missing values, or leave the rows out",
            field=column,
        )


def _parse_labels(labels: list[str]) -> npt.NDArray[Any]:
    try:
        return np.array(labels, dtype=object).astype(np.float64)
    except ValueError:
        return np.array(labels, dtype=np.str_)


def _read_parquet(path: Path, label: str) -> ExampleTable:
    try:
        from pyarrow import parquet
    except ImportError as error:
        raise RefusalError(
            LearningCode.MISSING_PACKAGE,
            f"{path} is a Parquet file, for which pyarrow must be installed here (pip install "
            "'fedcoin[parquet]'); or save the table as CSV",
            field=path.name,
        ) from error
    with refusing_damage(path, "a Parquet file"), parquet.ParquetFile(path) as file:
        names = [str(name) for name in file.schema_arrow.names]
        place = _find_label(path, names, label)
        _check_size(path, file.metadata.num_rows * len(names))
        # Other columns, such as pandas' index, would be examples' numbers.
        content = file.read()
        columns = [name for name in names if name != names[place]]
        x = np.column_stack(
            [_to_column(path, content.column(names.index(name)), name) for name in columns]
        )
        labels = content.column(place).to_pylist()
        y = (
            np.array(labels, np.float64)
            if all(isinstance(value, (bool, int, float)) for value in labels)
            else np.array([str(value) for value in labels], np.str_)
        )
        return ExampleTable(tuple(columns), x, y, names[place])


def _to_column(path: Path, column: Any, name: str) -> npt.NDArray[np.float64]:
    import pyarrow

    kind = column.type
    is_number = pyarrow.types.is_integer(kind) or pyarrow.types.is_floating(kind)
    if not (is_number or pyarrow.types.is_boolean(kind)):
        raise RefusalError(
            LearningCode.WRONG_DTYPE,
            f"{path} has {kind} in column {name!r}; turn it into numbers in the same way for all "
            "clients",
            field=name,
        )
    if column.null_count:
        raise RefusalError(
            LearningCode.NOT_FINITE,
            f"{path} has {column.null_count} missing values in column {name!r}; fill them, or "
            "leave the rows out",
            field=name,
        )
    numbers: npt.NDArray[np.float64] = column.to_numpy().astype(np.float64)
    return numbers


def _check_size(path: Path, num_cells: int) -> None:
    if num_cells > MAX_NUMBERS:
        raise unreadable(path, f"has more than {MAX_NUMBERS} cells; divide the table")


def _find_label(path: Path, names: Sequence[str], label: str) -> int:
    if len(names) > MAX_COLUMNS:
        raise unreadable(path, f"has {len(names)} columns; the limit is {MAX_COLUMNS}")
    if len(names) != len(set(names)) or len(names) < 2:
        raise unreadable(
            path,
            "has no header that names at least two columns, each of them differently; its first "
            f"row is {', '.join(name[:20] for name in names[:6])!r}",
        )
    if label and label not in names:
        raise RefusalError(
            LearningCode.WRONG_NAMES,
            f"{path} has no column {label[:40]}; its columns are "
            f"{', '.join(name[:40] for name in names[:10])}",
            field="label",
        )
    wanted = [label] if label else [name for name in names if name.lower() in LABEL_COLUMNS]
    if len(wanted) != 1:
        raise RefusalError(
            LearningCode.WRONG_NAMES,
            f"{path} has the columns {', '.join(name[:40] for name in names[:10])}; one must be "
            f"{', '.join(LABEL_COLUMNS)}: name the labels' column (`fedcoin-node convert --label "
            "COLUMN`)",
            field="label",
        )
    return names.index(wanted[0])
