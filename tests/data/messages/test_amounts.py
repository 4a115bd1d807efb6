from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedcoin.data.errors import DataCode, RefusalError
from fedcoin.data.messages.amounts import MAX_AMOUNT, SAP_PER_FDC, format_amount, parse_amount


@pytest.mark.parametrize(
    ("text", "sap"),
    [
        ("1.5fdc", 150_000_000),
        ("1.5 FDC", 150_000_000),
        ("150000000sap", 150_000_000),
        ("7 sap", 7),
        ("0", 0),
        ("0.00000001fdc", 1),
        (" 2fdc ", 2 * SAP_PER_FDC),
        ("92233720368.54775807fdc", MAX_AMOUNT),
        (f"{MAX_AMOUNT}sap", MAX_AMOUNT),
    ],
)
def test_parse(text: str, sap: int) -> None:
    assert parse_amount(text) == sap


@pytest.mark.parametrize(
    "text",
    [
        *("", "-1", "+1", "1e3", "1.5", "1.5sap", "1,5fdc", ".5fdc", "1.fdc", "0x10", "nan"),
        *("1.000000001fdc", f"{MAX_AMOUNT + 1}sap", "92233720369fdc", "9" * 40, "١٢"),
        *("1fdcfdc", "1 2", "1\n2"),
    ],
)
def test_parse_refuses(text: str) -> None:
    with pytest.raises(RefusalError) as caught:
        parse_amount(text)
    assert caught.value.code is DataCode.BAD_AMOUNT


@pytest.mark.parametrize(
    ("text", "advice"),
    [
        ("3", "'3' has no unit: write 3fdc or 3sap"),
        ("150000000", "write 150000000fdc or 150000000sap"),
        ("0.5", "'0.5' has no unit: write 0.5fdc"),
    ],
)
def test_only_zero_needs_no_unit(text: str, advice: str) -> None:
    with pytest.raises(RefusalError) as caught:
        parse_amount(text)
    assert caught.value.code is DataCode.BAD_AMOUNT
    assert caught.value.message.endswith(advice)


@pytest.mark.parametrize(
    ("sap", "text"),
    [(150_000_000, "1.5 FDC"), (0, "0 FDC"), (1, "0.00000001 FDC"), (-250_000_000, "-2.5 FDC")],
)
def test_format(sap: int, text: str) -> None:
    assert format_amount(sap) == text


@given(st.integers(0, MAX_AMOUNT))
def test_format_loses_nothing(sap: int) -> None:
    assert parse_amount(format_amount(sap)) == sap
