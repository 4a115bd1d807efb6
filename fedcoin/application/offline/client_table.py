"""The table of the clients of a folder of updates: whose each file is, and who signs and is paid.

```
file,key,num_samples,name
anna.safetensors,keys/anna.key,400,Anna's practice
ben.pt,ben,250,
```
"""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from fedcoin.application.errors import ApplicationCode
from fedcoin.data.crypto.addresses import parse_address
from fedcoin.data.errors import RefusalError
from fedcoin.data.messages.client_names import check_name
from fedcoin.learning.model.aggregation import MAX_NUM_SAMPLES

COLUMNS = ("file", "key", "address", "num_samples", "name")
"""The columns that a table may have; `file` and one of `key` and `address` are needed."""

_MAX_BYTES = 1 << 24
_DELIMITERS = ",;\t"


@dataclass(frozen=True, slots=True)
class TableRow:
    """A row of the table of clients: whose update a file is, and who is paid for it."""

    file: str
    """The name of its file of weights within the folder of updates."""
    key: str
    """A key's name in the home, or the path of a key file; empty when the row has only an
    address."""
    address: bytes
    """The client's address, 20 bytes; empty when the row has only a key."""
    num_samples: int | None
    """Its number of training examples; None when the table does not say."""
    name: str = ""
    """What it calls itself on the chain; empty for no name."""


def read_client_table(path: Path) -> tuple[TableRow, ...]:
    """Read a table of clients.

    Args:
        path: A CSV file in UTF-8 whose first row names its columns, of `COLUMNS`, separated by
            commas, semicolons or tabs.

    Returns:
        A row for each client, in the file's order.

    Raises:
        RefusalError: BAD_ARGUMENT when the file cannot be read, lacks a column or has one that is
            none of `COLUMNS`, a file is named twice, or a cell is invalid.
    """
    try:
        if path.stat().st_size > _MAX_BYTES:
            raise _bad(path, f"is larger than {_MAX_BYTES} bytes")
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise _bad(path, f"cannot be read: {error}") from error
    header = lines[0] if lines else ""
    delimiter = max(_DELIMITERS, key=header.count)
    cells = [[cell.strip() for cell in row] for row in csv.reader(lines, delimiter=delimiter)]
    names = cells[0] if cells else []
    _check_names(path, names)
    rows: dict[str, TableRow] = {}
    for number, values in enumerate(cells[1:], 2):
        if not any(values):
            continue
        if len(values) != len(names):
            raise _bad(
                path, f"has {len(values)} cells in line {number}; the header has {len(names)}"
            )
        row = _read_row(path, number, dict(zip(names, values, strict=True)))
        if row.file in rows:
            raise _bad(path, f"names the file {row.file} again in line {number}")
        rows[row.file] = row
    return tuple(rows.values())


def _check_names(path: Path, names: Sequence[str]) -> None:
    if names and names[0].startswith("fc1"):
        raise _bad(
            path,
            "begins with an address, as a list of the clients that may take part does, which "
            "`task publish` takes as --clients; a table names its columns in the first row",
        )
    unknown = sorted(set(names) - set(COLUMNS))
    if unknown or len(set(names)) < len(names):
        raise _bad(
            path,
            f"has the columns {', '.join(name[:20] for name in names)}; they must be among "
            f"{', '.join(COLUMNS)}, each at most once",
        )
    if "file" not in names or not {"key", "address"} & set(names):
        raise _bad(path, "must have the column file, and key or address; see docs/FILES.md")


def _read_row(path: Path, number: int, cells: dict[str, str]) -> TableRow:
    file, key = cells["file"], cells.get("key", "")
    address, samples = cells.get("address", ""), cells.get("num_samples", "")
    if not file or Path(file).name != file:
        raise _bad(path, f"names {file!r} in line {number}; it must be a file's name alone")
    if not key and not address:
        raise _bad(path, f"has neither a key nor an address in line {number}")
    if samples and not (samples.isascii() and samples.isdecimal() and len(samples) < 20):
        raise _bad(path, f"has the num_samples {samples!r} in line {number}; it must be an integer")
    if samples and not 1 <= int(samples) <= MAX_NUM_SAMPLES:
        raise _bad(path, f"has num_samples {samples} in line {number}, not 1 to {MAX_NUM_SAMPLES}")
    try:
        payee = parse_address(address) if address else b""
    except RefusalError as refusal:
        raise _bad(path, f"has no address in line {number}: {refusal.message}") from refusal
    name = cells.get("name", "")
    try:
        check_name(name)
    except RefusalError as refusal:
        raise _bad(path, f"is wrong in line {number}: {refusal.message}") from refusal
    return TableRow(file, key, payee, int(samples) if samples else None, name)


def _bad(path: Path, problem: str) -> RefusalError:
    return RefusalError(
        ApplicationCode.BAD_ARGUMENT, f"the table of clients {path} {problem}", field="table"
    )
