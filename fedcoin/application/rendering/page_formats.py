"""Write numbers, hashes and times of a chain as text for pages and tables."""

from __future__ import annotations

import datetime
from typing import Final

from fedcoin.data.messages.amounts import SAP_PER_FDC

_SHORT: Final = 18
"""The longest text that `shorten` leaves as it is, in characters."""

_END_MS: Final = 253_402_300_800_000
"""The beginning of the year 10000, in Unix ms."""

NANO: Final = 1_000_000_000
"""Nano-utility of the largest value of a utility."""


def format_value(nano: int) -> str:
    """Format a Shapley value.

    Args:
        nano: The value in nano-utility.

    Returns:
        The value as a part of the largest utility, with its sign and four decimals.
    """
    return f"{nano / NANO:+.4f}".replace("-", "\N{MINUS SIGN}")


def format_fraction(nano: int) -> str:
    """Format a distance or a difficulty.

    Args:
        nano: The number in nano-utility, not negative.

    Returns:
        The number as a part of the largest utility, with four decimals.
    """
    return f"{nano / NANO:.4f}"


def format_fdc(sap: int) -> str:
    """Format an amount in FDC with four decimals, rounded, for reading and not for adding up.

    Args:
        sap: The amount in sap.

    Returns:
        The number without its unit, such as `1,234.5000`.
    """
    return f"{sap / SAP_PER_FDC:,.4f}"


def format_rounded(sap: int) -> str:
    """Format an amount with four decimals.

    Args:
        sap: The amount in sap.

    Returns:
        The rounded amount in FDC, such as `1,234.5679 FDC`.
    """
    return f"{format_fdc(sap)} FDC"


def format_total(sap: int) -> str:
    """Format a large amount with two decimals.

    Args:
        sap: The amount in sap.

    Returns:
        The rounded amount in FDC, such as `1,234.57 FDC`.
    """
    return f"{sap / SAP_PER_FDC:,.2f} FDC"


def format_percent(fraction: float) -> str:
    """Format a share of a whole.

    Args:
        fraction: The share, 0 to 1.

    Returns:
        The share in percent, with one decimal.
    """
    return f"{100 * fraction:.1f} %"


def format_moment(ms: int) -> str:
    """Format a time.

    Args:
        ms: Unix time in ms; 0 for none.

    Returns:
        The time in UTC to the second, or a dash for none and for times after the year 9999.
    """
    if not 0 < ms < _END_MS:
        return "\N{EN DASH}"
    at = datetime.datetime.fromtimestamp(ms // 1000, datetime.timezone.utc)
    return at.strftime("%Y-%m-%d %H:%M:%S UTC")


def format_duration(ms: int) -> str:
    """Format a time span.

    Args:
        ms: The span in ms.

    Returns:
        The span in a unit that suits it, such as `1.3 s` or `2 h 5 min`.
    """
    seconds = ms / 1000
    if seconds < 100:
        return f"{seconds:.1f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 100 else f"{minutes // 60} h {minutes % 60} min"


def format_size(count: int) -> str:
    """Format a size.

    Args:
        count: The size in bytes.

    Returns:
        The size in bytes, kB or MB (10^6 bytes).
    """
    if count < 1_000:
        return f"{count} bytes"
    return f"{count / 1e3:.0f} kB" if count < 1e6 else f"{count / 1e6:.0f} MB"


def shorten(text: str) -> str:
    """Shorten a hash or an address so that both of its ends can be compared.

    Args:
        text: The hash or address.

    Returns:
        Its first ten and last six characters; a text of at most 18 characters unchanged.
    """
    return f"{text[:10]}\N{HORIZONTAL ELLIPSIS}{text[-6:]}" if len(text) > _SHORT else text


def format_iso_moment(ms: int) -> str:
    """Format a time for programs.

    Args:
        ms: Unix time in ms, from 0 to the year 9999.

    Returns:
        The time in UTC by ISO 8601, such as `2026-01-31T12:00:00.000Z`; empty outside this range.
    """
    if not 0 <= ms < _END_MS:
        return ""
    at = datetime.datetime.fromtimestamp(ms // 1000, datetime.timezone.utc)
    return f"{at:%Y-%m-%dT%H:%M:%S}.{ms % 1000:03d}Z"
