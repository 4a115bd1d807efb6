"""Print results: JSON for tools, aligned lines and tables for people."""

from __future__ import annotations

import datetime
import json
import sys
from collections.abc import Mapping, Sequence
from typing import Any

import click
from google.protobuf.message import Message

from fedcoin.data.messages.amounts import format_amount
from fedcoin.data.plurals import format_count


def as_plain(message: Message) -> dict[str, Any]:
    """Turn a message into values that JSON can hold.

    Protobuf's own JSON format writes 64-bit integers as strings, which each reader would have to
    convert; here they are numbers.

    Args:
        message: Any message.

    Returns:
        Every field by its name in the `.proto` file: bytes in hex, enums as by `enum_name`, absent
        messages as None.
    """
    return {field.name: _field(message, field) for field in message.DESCRIPTOR.fields}


def _field(message: Message, field: Any) -> Any:
    value = getattr(message, field.name)
    if field.message_type is not None and field.has_presence and not message.HasField(field.name):
        return None
    if field.is_repeated:
        return [_value(item, field) for item in value]
    return _value(value, field)


def _value(value: Any, field: Any) -> Any:
    if isinstance(value, Message):
        return as_plain(value)
    if field.enum_type is not None:
        return enum_name(field.enum_type, value)
    return value.hex() if isinstance(value, bytes) else value


def enum_name(kind: Any, number: int) -> str:
    """Name an enum value without the enum's prefix: TASK_PHASE_SETTLED becomes "settled".

    Args:
        kind: The enum's descriptor.
        number: The value's number on the wire.

    Returns:
        The name in lower case; the number as text when this version does not know the value.
    """
    value = kind.values_by_number.get(number)
    if value is None:
        return str(number)
    unspecified = kind.values_by_number[0].name
    prefix = unspecified[: -len("UNSPECIFIED")]
    name: str = value.name
    return name[len(prefix) :].lower()


def print_json(value: object) -> None:
    """Print a JSON value, indented on a terminal and on one line elsewhere.

    Args:
        value: What `json.dumps` accepts.
    """
    indent = 2 if sys.stdout.isatty() else None
    click.echo(json.dumps(value, indent=indent, ensure_ascii=False))


def print_fields(fields: Mapping[str, object]) -> None:
    """Print names and values, one pair a line, aligned.

    Args:
        fields: Values by name.
    """
    width = max(map(len, fields), default=0)
    for name, value in fields.items():
        click.echo(f"{name:<{width}}  {value}")


def print_table(columns: Sequence[str], rows: Sequence[Sequence[object]], right: str = "") -> None:
    """Print a table with aligned columns.

    Args:
        columns: The heading of each column.
        rows: The cells of each row.
        right: One character for each column: `r` aligns it to the right.
    """
    cells = [tuple(map(str, row)) for row in rows]
    widths = [max(len(line[i]) for line in [tuple(columns), *cells]) for i in range(len(columns))]
    for line in [tuple(columns), *cells]:
        parts = [
            cell.rjust(width) if right[i : i + 1] == "r" else cell.ljust(width)
            for i, (cell, width) in enumerate(zip(line, widths, strict=True))
        ]
        click.echo("  ".join(parts).rstrip())


def coins(sap: int) -> str:
    """Format an amount for people.

    Args:
        sap: The amount in sap.

    Returns:
        The amount in FDC, with the unit.
    """
    return format_amount(sap)


def nano(value: int) -> str:
    """Format a Shapley value or a difficulty for people.

    Args:
        value: The value in nano-utility (1e-9 of the utility's scale).

    Returns:
        The value in units of the utility, with six decimals.
    """
    return f"{value / 1e9:.6f}"


def moment(ms: int) -> str:
    """Format a time for people.

    Args:
        ms: Unix time in ms; 0 for none.

    Returns:
        The local time with its offset, or a dash for none.
    """
    if not ms:
        return "-"
    at = datetime.datetime.fromtimestamp(ms / 1000).astimezone()
    return at.strftime("%Y-%m-%d %H:%M:%S %z")


def size(count: int) -> str:
    """Format a size for people.

    Args:
        count: The size in bytes.

    Returns:
        The size in bytes, kB (10^3 bytes) or MB (10^6 bytes).
    """
    if count < 1_000:
        return format_count(count, "byte")
    return f"{count / 1e3:.1f} kB" if count < 1_000_000 else f"{count / 1e6:.1f} MB"


def note(line: str) -> None:
    """Print a line about the work to standard error.

    Args:
        line: One line, without its end.
    """
    click.echo(line, err=True)
