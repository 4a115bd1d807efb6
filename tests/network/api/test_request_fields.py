"""Request fields are decoded, or refused by name."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedcoin.data.crypto.addresses import format_address
from fedcoin.data.errors import RefusalError
from fedcoin.network.api.request_fields import (
    MAX_HEIGHT,
    check_height,
    choose_page_size,
    parse_address_field,
    parse_hash,
)


@given(value=st.binary(min_size=32, max_size=32))
def test_hashes(value: bytes) -> None:
    assert parse_hash(value.hex(), "hash") == value
    assert parse_hash(value.hex().upper(), "hash") == value


@given(text=st.text(max_size=80))
def test_any_other_text_is_no_hash(text: str) -> None:
    if len(text) == 64 and all(letter in "0123456789abcdefABCDEF" for letter in text):
        return
    with pytest.raises(RefusalError) as caught:
        parse_hash(text, "task_id")
    assert caught.value.field == "task_id"
    assert caught.value.message.startswith("task_id is ")


def test_spaces_do_not_make_a_hash() -> None:
    with pytest.raises(RefusalError):
        parse_hash("ab " * 21 + "a", "hash")
    with pytest.raises(RefusalError):
        parse_hash(" ".join(["ab"] * 32), "hash")


def test_what_is_shown_of_nonsense_is_short() -> None:
    with pytest.raises(RefusalError) as caught:
        parse_hash("x" * 10_000, "hash")
    assert len(caught.value.message) < 200


@given(value=st.binary(min_size=20, max_size=20))
def test_addresses(value: bytes) -> None:
    assert parse_address_field(format_address(value), "address") == value


@given(text=st.text(max_size=90))
def test_any_other_text_is_no_address(text: str) -> None:
    with pytest.raises(RefusalError) as caught:
        parse_address_field(text, "miner")
    assert caught.value.field == "miner"


def test_heights() -> None:
    assert check_height(1, "height") == 1
    assert check_height(MAX_HEIGHT, "height") == MAX_HEIGHT
    for wrong in (0, MAX_HEIGHT + 1):
        with pytest.raises(RefusalError):
            check_height(wrong, "height")


def test_page_sizes() -> None:
    assert choose_page_size(0, default=20, maximum=100) == 20
    assert choose_page_size(7, default=20, maximum=100) == 7
    assert choose_page_size(101, default=20, maximum=100) == 100
