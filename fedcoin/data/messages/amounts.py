"""Amounts of coins: whole numbers of sap in the protocol, FDC for people."""

from __future__ import annotations

import re
from typing import Final

from fedcoin.data.errors import DataCode, RefusalError

SAP_PER_FDC: Final = 100_000_000
"""One FDC in sap, the unit of every amount in the protocol."""

MAX_AMOUNT: Final = 2**63 - 1
"""The largest amount, and the largest supply, in sap."""

_DECIMALS: Final = 8
_WRITTEN = re.compile(r"([0-9]{1,30})(?:\.([0-9]{1,30}))?\s*(fdc|sap)?", re.ASCII | re.IGNORECASE)


def parse_amount(text: str) -> int:
    """Read an amount that a person wrote.

    Args:
        text: `1.5fdc`, `1.5 FDC` or `150000000sap`. Only 0 needs no unit: who writes 3 may mean
            FDC, and 3 sap are a hundred millionth of that.

    Returns:
        The amount in sap.

    Raises:
        RefusalError: BAD_AMOUNT when the text is not an amount, has no unit, has more than eight
            decimals of an FDC or a fraction of a sap, or is larger than `MAX_AMOUNT`.
    """
    match = _WRITTEN.fullmatch(text.strip())
    if match is None:
        raise _refused(f"{text[:40]!r} is not an amount: write 1.5fdc or 150000000sap")
    whole, fraction, unit = match.group(1), match.group(2) or "", (match.group(3) or "").lower()
    if not unit and (int(whole) or fraction):
        given = match.group(0)[:40]
        other = "" if fraction else f" or {given}sap"
        raise _refused(f"{given!r} has no unit: write {given}fdc{other}")
    if unit != "fdc":
        if fraction:
            raise _refused(f"{text[:40]!r} is a fraction of a sap: add 'fdc', or write whole sap")
        sap = int(whole)
    else:
        if len(fraction) > _DECIMALS:
            raise _refused(f"{text[:40]!r} has more than {_DECIMALS} decimals: one sap is 1e-8 FDC")
        sap = int(whole) * SAP_PER_FDC + int(fraction.ljust(_DECIMALS, "0"))
    if sap > MAX_AMOUNT:
        raise _refused(f"{text[:40]!r} is more than {MAX_AMOUNT} sap, the largest amount")
    return sap


def format_amount(sap: int) -> str:
    """Format an amount for people, without rounding.

    Args:
        sap: The amount in sap; may be negative.

    Returns:
        The amount in FDC, such as `1.5 FDC` for 150000000.
    """
    sign = "-" if sap < 0 else ""
    whole, rest = divmod(abs(sap), SAP_PER_FDC)
    fraction = f"{rest:0{_DECIMALS}d}".rstrip("0")
    return f"{sign}{whole}.{fraction} FDC" if fraction else f"{sign}{whole} FDC"


def _refused(message: str) -> RefusalError:
    return RefusalError(DataCode.BAD_AMOUNT, message, field="amount", limit=str(MAX_AMOUNT))
