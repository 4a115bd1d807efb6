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
