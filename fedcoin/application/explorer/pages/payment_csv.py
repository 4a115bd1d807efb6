"""Write an address's payments as CSV (RFC 4180)."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable
from typing import Final

from fedcoin.application.explorer.pages.chain_words import name_payment
from fedcoin.application.explorer.reading.payment_index import IndexedPayment
from fedcoin.application.rendering.page_formats import format_iso_moment
from fedcoin.data.messages.amounts import SAP_PER_FDC

COLUMNS: Final = (
    "height",
    "time",
    "kind",
    "amount_sap",
    "amount_fdc",
    "round",
    "shapley_value",
    "task_id",
)
"""The first line. Amounts are given in sap and, exactly, in FDC; times in UTC by ISO 8601."""


def write_csv(payments: Iterable[IndexedPayment]) -> str:
    """Write payments as CSV.

    Nothing in it is text that somebody chose, so that no cell is a formula of a spreadsheet.

    Args:
        payments: The payments, in the order of the lines.

    Returns:
        The header and one line for each payment, ended by CR LF.
    """
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerow(COLUMNS)
    for each in payments:
        whole, rest = divmod(each.amount, SAP_PER_FDC)
        writer.writerow(
            (
                each.height,
                format_iso_moment(each.time_ms),
                name_payment(each.kind),
                each.amount,
                f"{whole}.{rest:08d}",
                each.round or "",
                f"{each.shapley_nano / 1e9:.9f}" if each.shapley_nano else "",
                each.task_id,
            )
        )
    return out.getvalue()
