"""Checks that many actions share: an amount, a length, a number, a choice."""

from __future__ import annotations

from fedcoin.contract.errors import LedgerCode
from fedcoin.data.errors import RefusalError
from fedcoin.data.messages.amounts import MAX_AMOUNT


def checked_amount(amount: int, field: str) -> int:
    """The amount, if it is more than zero and not more than can exist.

    Raises `Refusal` (ZERO_AMOUNT, AMOUNT_OVERFLOW).
    """
    if amount == 0:
        raise RefusalError(
            LedgerCode.ZERO_AMOUNT, f"{field} is 0 sap; it must be more", field=field, limit="1"
        )
    if amount > MAX_AMOUNT:
        raise RefusalError(
            LedgerCode.AMOUNT_OVERFLOW,
            f"{field} is {amount} sap; no more than {MAX_AMOUNT} can exist",
            field=field,
            limit=str(MAX_AMOUNT),
        )
    return amount


def check_length(code: LedgerCode, field: str, value: bytes, length: int) -> None:
    """Refuse, with `code`, what does not have exactly `length` bytes."""
    if len(value) != length:
        raise RefusalError(
            code,
            f"{field} has {len(value)} bytes; it must have {length}",
            field=field,
            limit=str(length),
        )


def check_number(code: LedgerCode, field: str, value: int, least: int, most: int) -> None:
    """Refuse, with `code`, a number out of range."""
    if not least <= value <= most:
        raise RefusalError(
            code,
            f"{field} is {value}; it must be {least} to {most}",
            field=field,
            limit=f"{least} to {most}",
        )


def check_choice(code: LedgerCode, field: str, value: int, known: tuple[int, ...]) -> None:
    """Refuse, with `code`, a choice that there is not."""
    if value not in known:
        raise RefusalError(
            code,
            f"{field} is {value}; it must be one of {', '.join(map(str, known))}",
            field=field,
            limit=", ".join(map(str, known)),
        )
