"""Values as rows of a table: to a CSV file, or to a pandas data frame."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from fedcoin.data.errors import RefusalError
from fedcoin.shapley.errors import ShapleyCode
from fedcoin.shapley.rounds import PlayerValues

if TYPE_CHECKING:
    import pandas

COLUMNS = ("player", "value", "std_error", "low", "high")
"""The columns of a table; `low` and `high` are the ends of the 95 % interval."""
_NORMAL_95 = 1.96


def write_csv(path: Path | str, estimate: PlayerValues, names: Sequence[str] | None = None) -> None:
    """Write values to a CSV file: a line of `COLUMNS`, then one for each player.

    Numbers have as many digits as it takes to read the same float64 again. An infinite standard
    error is `inf`. Fields are separated by commas and lines end in a line feed, in UTF-8.

    Args:
        path: The file, which is overwritten.
        estimate: Any estimate of this package.
        names: The players' names, n of them; their indices from 0 by default.

    Raises:
        RefusalError: BAD_NAMES when there are not n names.
        OSError: The file cannot be written.
    """
    rows = list(_list_rows(estimate, names))
    with Path(path).open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(COLUMNS)
        writer.writerows(rows)


def to_pandas(estimate: PlayerValues, names: Sequence[str] | None = None) -> pandas.DataFrame:
    """Make a pandas data frame of values; needs pandas (`pip install 'fedcoin[pandas]'`).

    Args:
        estimate: Any estimate of this package.
        names: The players' names, n of them; their indices from 0 by default.

    Returns:
        A data frame with the column `player` as its index and the other `COLUMNS`, float64.

    Raises:
        RefusalError: NO_PANDAS when pandas is not installed; BAD_NAMES when there are not n names.
    """
    try:
        import pandas
    except ImportError as error:
        raise RefusalError(
            ShapleyCode.NO_PANDAS,
            "pandas is not installed; use write_csv, or pip install 'fedcoin[pandas]'",
        ) from error
    rows = list(_list_rows(estimate, names))
    return pandas.DataFrame(rows, columns=list(COLUMNS)).set_index("player")


def _list_rows(
    estimate: PlayerValues, names: Sequence[str] | None
) -> Iterator[tuple[str | int, float, float, float, float]]:
    labels: Sequence[str | int] = range(len(estimate.values)) if names is None else names
    if len(labels) != len(estimate.values):
        raise RefusalError(
            ShapleyCode.BAD_NAMES,
            f"{len(labels)} names for {len(estimate.values)} players; give one for each",
            field="names",
            limit=str(len(estimate.values)),
        )
    for label, value, error in zip(
        labels, estimate.values.tolist(), estimate.std_errors.tolist(), strict=True
    ):
        yield label, value, error, value - _NORMAL_95 * error, value + _NORMAL_95 * error
