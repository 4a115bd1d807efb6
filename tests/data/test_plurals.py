from __future__ import annotations

import pytest

from fedcoin.data.plurals import format_count


@pytest.mark.parametrize(
    ("count", "text"),
    [(0, "0 clients"), (1, "1 client"), (2, "2 clients"), (1_022, "1,022 clients")],
)
def test_one_is_in_the_singular(count: int, text: str) -> None:
    assert format_count(count, "client") == text


def test_an_irregular_plural() -> None:
    assert format_count(1, "entry", "entries") == "1 entry"
    assert format_count(3, "entry", "entries") == "3 entries"
