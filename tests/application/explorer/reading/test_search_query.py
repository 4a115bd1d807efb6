from __future__ import annotations

import pytest

from fedcoin.application.explorer.reading.search_query import QueryKind, read_query
from fedcoin.data.crypto.addresses import format_address

ADDRESS = format_address(bytes(20))


@pytest.mark.parametrize(
    ("text", "kind", "read"),
    [
        (" 12 ", QueryKind.HEIGHT, "12"),
        ("#1,234", QueryKind.HEIGHT, "1234"),
        ("0007", QueryKind.HEIGHT, "7"),
        ("AB" * 32, QueryKind.HASH, "ab" * 32),
        ("0x" + "ab" * 32, QueryKind.HASH, "ab" * 32),
        ("1" * 64, QueryKind.HASH, "1" * 64),
        (ADDRESS, QueryKind.ADDRESS, ADDRESS),
        (ADDRESS.upper(), QueryKind.ADDRESS, ADDRESS),
        (ADDRESS[:-1] + "x", QueryKind.PART, ADDRESS[:-1] + "x"),
        ("<b>", QueryKind.PART, "<b>"),
        ("0", QueryKind.NOTHING, "0"),
        ("٣", QueryKind.NOTHING, "٣"),
        (str(2**63), QueryKind.PART, str(2**63)),
        ("", QueryKind.NOTHING, ""),
        ("x" * 1000, QueryKind.PART, "x" * 100),
    ],
)
def test_a_text_is_what_it_looks_like(text: str, kind: QueryKind, read: str) -> None:
    query = read_query(text)
    assert (query.kind, query.text) == (kind, read)
