"""Page tokens and pages."""

from __future__ import annotations

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedcoin.data.errors import RefusalError
from fedcoin.network.api.paging import (
    decode_location_token,
    decode_token,
    encode_location_token,
    encode_token,
    fill_page,
    find_next_index,
    fit_page,
)
from fedcoin.network.errors import NetworkCode
from fedcoin.v1.views_pb2 import BlockView

positions = st.binary(max_size=64)
places = st.tuples(st.integers(0, 2**63), st.integers(0, 2**32))


@given(position=positions, scope=st.text(max_size=20))
def test_a_token_gives_back_its_position(position: bytes, scope: str) -> None:
    token = encode_token(scope, position)
    assert decode_token(scope, token) == position
    assert token.isascii()
    assert "=" not in token


@given(place=places)
def test_places_in_the_chain(place: tuple[int, int]) -> None:
    assert decode_location_token("tasks", encode_location_token("tasks", place)) == place


def test_no_token_is_the_first_page_and_no_place_is_the_last() -> None:
    assert decode_token("blocks", "") is None
    assert decode_location_token("blocks", "") is None
    assert encode_location_token("blocks", None) == ""


@given(position=positions, flip=st.integers(0, 2**16))
def test_a_changed_token_is_refused(position: bytes, flip: int) -> None:
    raw = bytearray(base64.urlsafe_b64decode(encode_token("a", position) + "=="))
    raw[flip % len(raw)] ^= 1
    with pytest.raises(RefusalError) as caught:
        decode_token("a", base64.urlsafe_b64encode(bytes(raw)).decode())
    assert caught.value.code is NetworkCode.BAD_PAGE_TOKEN
    assert caught.value.field == "page_token"


@given(token=st.text(min_size=1, max_size=400))
def test_any_other_text_is_refused(token: str) -> None:
    with pytest.raises(RefusalError):
        decode_token("a", token)


def test_a_token_of_another_list_or_shape_is_refused() -> None:
    with pytest.raises(RefusalError):
        decode_token("b", encode_token("a", b"x"))
    with pytest.raises(RefusalError):
        decode_location_token("a", encode_token("a", b"short"))


def block(height: int | None) -> BlockView:
    return BlockView(height=height or 0, hash="0" * 100)


def test_pages_end_at_their_size_or_with_the_list() -> None:
    assert fill_page(range(1, 4), 2, block) == ([block(1), block(2)], 2)
    assert fill_page(range(1, 3), 2, block) == ([block(1), block(2)], None)
    assert fill_page([], 2, block) == ([], None)


def test_pages_end_before_they_grow_too_large_but_hold_one() -> None:
    size = block(1).ByteSize()
    views, last = fill_page(range(1, 100), 50, block, max_bytes=3 * size)
    assert (len(views), last) == (3, 3)
    views, last = fill_page(range(1, 100), 50, block, max_bytes=1)
    assert (len(views), last) == (1, 1)


def test_views_that_are_there_already() -> None:
    views = [block(height) for height in range(3)]
    assert fit_page(views, 3) == (views, None)
    assert fit_page(views, 2) == (views[:2], views[1])


@given(
    items=st.lists(st.integers(0, 255), unique=True, max_size=30),
    gone=st.sets(st.integers(0, 255)),
    shown=st.integers(0, 30),
)
def test_a_list_that_shrinks_is_shown_without_gaps(
    items: list[int], gone: set[int], shown: int
) -> None:
    recent = [bytes([item]) for item in items[:shown][-4:]]
    left = [item for item in items if item not in gone]
    start = find_next_index(left, recent, lambda item: bytes([item]))
    assert set(left[start:]) >= set(items[shown:]) - gone
