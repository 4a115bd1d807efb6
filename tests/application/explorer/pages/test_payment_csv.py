from __future__ import annotations

import csv
import io

from fedcoin.application.explorer.pages.payment_csv import COLUMNS, write_csv
from fedcoin.application.explorer.reading.payment_index import IndexedPayment
from fedcoin.v1 import block_pb2


def test_payments_are_exact_and_have_no_formulas() -> None:
    payments = [
        IndexedPayment(
            7, 1_700_000_000_123, block_pb2.PAYMENT_KIND_TRAINING, 2**63 - 1, "ab" * 32, 2, -5
        ),
        IndexedPayment(3, 0, block_pb2.PAYMENT_KIND_UNBONDED, 1, "", 0, 0),
    ]
    text = write_csv(payments)
    assert text.endswith("\r\n")
    head, first, second = csv.reader(io.StringIO(text))
    assert tuple(head) == COLUMNS
    assert first == [
        "7", "2023-11-14T22:13:20.123Z", "training", str(2**63 - 1), "92233720368.54775807", "2",
        "-0.000000005", "ab" * 32,
    ]  # fmt: skip
    assert second[2:] == ["unbonded", "1", "0.00000001", "", "", ""]
    assert not any(cell.startswith(("=", "+", "@")) for cell in (*first, *second))
    assert write_csv([]).count("\r\n") == 1
