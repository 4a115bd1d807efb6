"""Read JSON from strangers: no duplicate names, no NaN, no value of another type than expected.

Every refusal is MALFORMED (TOO_LARGE for the size) and names the field at fault.
"""

from __future__ import annotations

import json
from typing import Any, NoReturn, TypeVar

from fedcoin.data.errors import RefusalError
from fedcoin.network.errors import NetworkCode

T = TypeVar("T")


def parse_object(raw: bytes, name: str, max_bytes: int) -> dict[str, Any]:
    """Parse a JSON object.

    Args:
        raw: The text in UTF-8.
        name: The document's name, for error sentences.
        max_bytes: The largest size that is parsed, in bytes.

    Returns:
        The object's members by name; no name comes twice.

    Raises:
        RefusalError: TOO_LARGE when the text has more than `max_bytes` bytes; MALFORMED when it is
            not a JSON object or has a name twice.
    """
    if len(raw) > max_bytes:
        raise RefusalError(
            NetworkCode.TOO_LARGE,
            f"the {name} has {len(raw)} bytes; at most {max_bytes} are read",
            field=name,
            limit=str(max_bytes),
        )
    try:
        parsed = json.loads(
            raw.decode(), object_pairs_hook=_unique_names, parse_constant=_refuse_constant
        )
    except (ValueError, RecursionError) as error:
        raise malformed(name, f"is not readable JSON: {str(error)[:200]}") from None
    if not isinstance(parsed, dict):
        raise malformed(name, "is not a JSON object")
    return parsed


def read_member(item: Any, name: str, kind: type[T]) -> T:
    """Read one member of an object.

    Args:
        item: The value that should be an object.
        name: The member's name.
        kind: The Python type that its value must have; bool does not count as int.

    Returns:
        The member's value, of exactly this type.

    Raises:
        RefusalError: MALFORMED when it is missing or of another type.
    """
    value = item.get(name) if isinstance(item, dict) else None
    if type(value) is not kind:
        raise malformed(name, f"is missing or is not of type {kind.__name__}")
    return value


def read_bytes(item: Any, name: str) -> bytes:
    """Read a member that holds bytes in lower-case hex.

    Args:
        item: The value that should be an object.
        name: The member's name.

    Returns:
        The decoded bytes.

    Raises:
        RefusalError: MALFORMED when it is missing or not lower-case hex.
    """
    text = read_member(item, name, str)
    try:
        value = bytes.fromhex(text)
    except ValueError:
        value = b""
    if value.hex() != text:
        raise malformed(name, "must be lower-case hex")
    return value


def malformed(field: str, problem: str) -> RefusalError:
    """Make the error for a malformed value in the document.

    Args:
        field: The path of the value in the document.
        problem: The end of a sentence that begins with the path.

    Returns:
        A refusal with code MALFORMED, which the caller raises.
    """
    return RefusalError(NetworkCode.MALFORMED, f"{field} {problem}", field=field)


def _unique_names(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise ValueError("an object has the same name twice")
    return members


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a JSON number")
