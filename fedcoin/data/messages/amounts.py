"""Amounts of coins: whole numbers of sap, and how people write them."""

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
    """Read `1.5fdc`, `1.5 FDC`, `150000000` or `150000000sap` as sap.

    A number without a unit is in sap. Raises `Refusal` (BAD_AMOUNT) when the text is
    something else, has more than eight decimals of an FDC, a fraction of a sap, or is over
    `MAX_AMOUNT`.
    """
    match = _WRITTEN.fullmatch(text.strip())
    if match is None:
        raise _refused(f"{text[:40]!r} is not an amount: write 1.5fdc, or 150000000 in sap")
    whole, fraction, unit = match.group(1), match.group(2) or "", (match.group(3) or "sap").lower()
    if unit == "sap":
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
    """Write an amount in sap for people: 150000000 as `1.5 FDC`, exactly."""
    sign = "-" if sap < 0 else ""
    whole, rest = divmod(abs(sap), SAP_PER_FDC)
    fraction = f"{rest:0{_DECIMALS}d}".rstrip("0")
    return f"{sign}{whole}.{fraction} FDC" if fraction else f"{sign}{whole} FDC"


def _refused(message: str) -> RefusalError:
    return RefusalError(DataCode.BAD_AMOUNT, message, field="amount", limit=str(MAX_AMOUNT))
