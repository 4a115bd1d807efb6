"""Check the amounts of coins that transactions name."""

from __future__ import annotations

from fedcoin.contract.errors import LedgerCode
from fedcoin.data.errors import RefusalError
from fedcoin.data.messages.amounts import MAX_AMOUNT


def check_amount(amount: int, field: str) -> int:
    """Check that an amount is positive and can exist.

    Args:
        amount: The amount in sap.
        field: The field's name, for the refusal.

    Returns:
        `amount`, unchanged.

    Raises:
        RefusalError: ZERO_AMOUNT when it is 0, AMOUNT_OVERFLOW when it is larger than any supply.
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
