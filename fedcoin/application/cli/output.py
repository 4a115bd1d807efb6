"""What commands print: JSON for tools, aligned lines and tables for people."""

from __future__ import annotations

import datetime
import json
import sys
from collections.abc import Mapping, Sequence
from typing import Any

import click
from google.protobuf.message import Message

from fedcoin.data.messages.amounts import format_amount


def as_plain(message: Message) -> dict[str, Any]:
    """A message as plain values: every field, numbers as numbers, bytes in hex.

    Protobuf's own JSON writes 64-bit integers as strings, which every reader would have to turn
    back.
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
    """TASK_PHASE_SETTLED as "settled"."""
    value = kind.values_by_number.get(number)
    if value is None:
        return str(number)
    unspecified = kind.values_by_number[0].name
    prefix = unspecified[: -len("UNSPECIFIED")]
    name: str = value.name
    return name[len(prefix) :].lower()


def print_json(value: object) -> None:
    """One JSON value on standard output, indented on a terminal."""
    indent = 2 if sys.stdout.isatty() else None
    click.echo(json.dumps(value, indent=indent, ensure_ascii=False))


def print_fields(fields: Mapping[str, object]) -> None:
    """Name and value, one a line, aligned."""
    width = max(map(len, fields), default=0)
    for name, value in fields.items():
        click.echo(f"{name:<{width}}  {value}")


def print_table(columns: Sequence[str], rows: Sequence[Sequence[object]], right: str = "") -> None:
    """Aligned columns; those whose place in ``right`` has an ``r`` are set flush right."""
    cells = [tuple(map(str, row)) for row in rows]
    widths = [max(len(line[i]) for line in [tuple(columns), *cells]) for i in range(len(columns))]
    for line in [tuple(columns), *cells]:
        parts = [
            cell.rjust(width) if right[i : i + 1] == "r" else cell.ljust(width)
            for i, (cell, width) in enumerate(zip(line, widths, strict=True))
        ]
        click.echo("  ".join(parts).rstrip())


def coins(sap: int) -> str:
    """An amount for people."""
    return format_amount(sap)


def nano(value: int) -> str:
    """A Shapley value or a difficulty for people: nano-utility as a decimal number."""
    return f"{value / 1e9:.6f}"


def moment(ms: int) -> str:
    """Unix ms as local time; a dash for none."""
    if not ms:
        return "-"
    at = datetime.datetime.fromtimestamp(ms / 1000).astimezone()
    return at.strftime("%Y-%m-%d %H:%M:%S %z")


def size(count: int) -> str:
    """Bytes for people."""
    return f"{count / 1e6:.1f} MB"


def note(line: str) -> None:
    """A line about the work, not its result: to standard error."""
    click.echo(line, err=True)
