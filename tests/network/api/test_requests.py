"""What callers write, in bytes, or refused by its field's name."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedcoin.data.crypto.addresses import format_address
from fedcoin.data.errors import RefusalError
from fedcoin.network.api.requests import MAX_HEIGHT, address_of, hash_of, height_of, page_size


@given(value=st.binary(min_size=32, max_size=32))
def test_hashes(value: bytes) -> None:
    assert hash_of(value.hex(), "hash") == value
    assert hash_of(value.hex().upper(), "hash") == value


@given(text=st.text(max_size=80))
def test_any_other_text_is_no_hash(text: str) -> None:
    if len(text) == 64 and all(letter in "0123456789abcdefABCDEF" for letter in text):
        return
    with pytest.raises(RefusalError) as caught:
        hash_of(text, "task_id")
    assert caught.value.field == "task_id"
    assert caught.value.message.startswith("task_id is ")


def test_spaces_do_not_make_a_hash() -> None:
    with pytest.raises(RefusalError):
        hash_of("ab " * 21 + "a", "hash")
    with pytest.raises(RefusalError):
        hash_of(" ".join(["ab"] * 32), "hash")


def test_what_is_shown_of_nonsense_is_short() -> None:
    with pytest.raises(RefusalError) as caught:
        hash_of("x" * 10_000, "hash")
    assert len(caught.value.message) < 200


@given(value=st.binary(min_size=20, max_size=20))
def test_addresses(value: bytes) -> None:
    assert address_of(format_address(value), "address") == value


@given(text=st.text(max_size=90))
def test_any_other_text_is_no_address(text: str) -> None:
    with pytest.raises(RefusalError) as caught:
        address_of(text, "miner")
    assert caught.value.field == "miner"


def test_heights() -> None:
    assert height_of(1, "height") == 1
    assert height_of(MAX_HEIGHT, "height") == MAX_HEIGHT
    for wrong in (0, MAX_HEIGHT + 1):
        with pytest.raises(RefusalError):
            height_of(wrong, "height")


def test_page_sizes() -> None:
    assert page_size(0, usual=20, most=100) == 20
    assert page_size(7, usual=20, most=100) == 7
    assert page_size(101, usual=20, most=100) == 100
