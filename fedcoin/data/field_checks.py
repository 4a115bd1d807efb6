"""Checks of single values in messages from strangers: size, length, range, choice.

Every layer uses these, so that refusals of the same kind read the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum

from fedcoin.data.errors import DataCode, RefusalError


def check_size(
    value: bytes, max_bytes: int, field: str, *, code: Enum = DataCode.TOO_LARGE
) -> None:
    """Check that a byte string is not too long.

    Args:
        value: The byte string.
        max_bytes: The largest length allowed, in bytes.
        field: The field's name, for the refusal.
        code: The code of the refusal.

    Raises:
        RefusalError: TOO_LARGE, or `code`, when the byte string is longer than `max_bytes`.
    """
    if len(value) > max_bytes:
        raise RefusalError(
            code,
            f"{field} has {len(value)} bytes; at most {max_bytes} are allowed",
            field=field,
            limit=str(max_bytes),
        )


def check_length(value: bytes, length: int, field: str, *, code: Enum = DataCode.MALFORMED) -> None:
    """Check that a byte string, such as a hash or a key, has the one length allowed.

    Args:
        value: The byte string.
        length: The length allowed, in bytes.
        field: The field's name, for the refusal.
        code: The code of the refusal.

    Raises:
        RefusalError: MALFORMED, or `code`, when the length differs.
    """
    if len(value) != length:
        raise RefusalError(
            code,
            f"{field} has {len(value)} bytes; it must have {length}",
            field=field,
            limit=str(length),
        )


def check_range(
    value: int, minimum: int, maximum: int, field: str, *, code: Enum = DataCode.MALFORMED
) -> None:
    """Check that a number is within its range.

    Args:
        value: The number to check.
        minimum: The smallest value allowed.
        maximum: The largest value allowed.
        field: The field's name, for the refusal.
        code: The code of the refusal.

    Raises:
        RefusalError: MALFORMED, or `code`, when the number is below `minimum` or above `maximum`.
    """
    if not minimum <= value <= maximum:
        raise RefusalError(
            code,
            f"{field} is {value}; it must be {minimum} to {maximum}",
            field=field,
            limit=f"{minimum} to {maximum}",
        )


def check_choice(
    value: int, choices: Sequence[int], field: str, *, code: Enum = DataCode.MALFORMED
) -> None:
    """Check that an enum value is one of those allowed.

    Args:
        value: The number of the enum value.
        choices: The numbers of the enum's members that are allowed.
        field: The field's name, for the refusal.
        code: The code of the refusal.

    Raises:
        RefusalError: MALFORMED, or `code`, when `value` is not among `choices`.
    """
    if value not in choices:
        allowed = ", ".join(map(str, choices))
        raise RefusalError(
            code, f"{field} is {value}; it must be one of {allowed}", field=field, limit=allowed
        )
