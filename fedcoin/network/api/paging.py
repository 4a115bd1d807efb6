"""Pages of lists, and the page tokens from which the next request continues.

A token holds the position of the last item of a page, and the first 8 bytes of a SHA-256 hash over
the position, the list's name and the filters; all in URL-safe base64. Callers need not decode it.
It stays valid while the chain grows, and is refused when it was cut short, changed, or given to
another list. The hash is no secret and protects nothing: lists are public.
"""

from __future__ import annotations

import base64
import binascii
import struct
from collections.abc import Callable, Iterable, Sequence
from typing import Final, TypeVar

from google.protobuf.message import Message

from fedcoin.data.crypto.hashing import sha256
from fedcoin.data.errors import RefusalError
from fedcoin.network.errors import NetworkCode
from fedcoin.network.grpc_options import PAGE_BYTES

T = TypeVar("T")
M = TypeVar("M", bound=Message)

_CHECK_BYTES: Final = 8
_MAX_TOKEN_CHARACTERS: Final = 256
_LOCATION: Final = struct.Struct(">QQ")


def encode_token(list_name: str, position: bytes) -> str:
    """Encode the token for the next page.

    Args:
        list_name: The list's name and its filters, as one text.
        position: The position of the last item of the page before, in the list's own encoding.

    Returns:
        An opaque text for the `page_token` of the next request.
    """
    token = base64.urlsafe_b64encode(_check(list_name, position) + position)
    return token.decode().rstrip("=")


def decode_token(list_name: str, token: str) -> bytes | None:
    """Decode the position in a page token.

    Args:
        list_name: The list's name and its filters. They must be those of the token.
        token: The request's token.

    Returns:
        The position; None for an empty token, which means the first page.

    Raises:
        RefusalError: BAD_PAGE_TOKEN when the token is malformed or is of another list.
    """
    if not token:
        return None
    if len(token) > _MAX_TOKEN_CHARACTERS:
        raise _refused()
    try:
        raw = base64.b64decode(token + "=" * (-len(token) % 4), b"-_", validate=True)
    except (binascii.Error, ValueError):
        raise _refused() from None
    check, position = raw[:_CHECK_BYTES], raw[_CHECK_BYTES:]
    if check != _check(list_name, position):
        raise _refused()
    return position


def encode_location_token(list_name: str, location: tuple[int, int] | None) -> str:
    """Encode the token for a page that begins below a location in the chain.

    Args:
        list_name: The list's name and its filters.
        location: A height and an index within the block; None when there is no further page.

    Returns:
        The token; empty for None.
    """
    return "" if location is None else encode_token(list_name, _LOCATION.pack(*location))


def decode_location_token(list_name: str, token: str) -> tuple[int, int] | None:
    """Decode the location in a page token.

    Args:
        list_name: The list's name and its filters. They must be those of the token.
        token: The request's token.

    Returns:
        A height and an index within the block; None for an empty token.

    Raises:
        RefusalError: BAD_PAGE_TOKEN when the token is malformed or is of another list.
    """
    position = decode_token(list_name, token)
    if position is None:
        return None
    if len(position) != _LOCATION.size:
        raise _refused()
    height, index = _LOCATION.unpack(position)
    return height, index


def fill_page(
    items: Iterable[T], size: int, view: Callable[[T], M], *, max_bytes: int = PAGE_BYTES
) -> tuple[list[M], T | None]:
    """Fill a page with the views of the first items of a list.

    Args:
        items: The items from the first one of the page on.
        size: How many items the page holds at most.
        view: Makes the view of an item.
        max_bytes: The limit on the bytes of all views together. The page holds at least one view.

    Returns:
        The views, and the last item of the page; None in its place when no more items follow.
    """
    views: list[M] = []
    total_bytes = 0
    last: T | None = None
    for item in items:
        if len(views) == size:
            return views, last
        shown = view(item)
        total_bytes += shown.ByteSize()
        if views and total_bytes > max_bytes:
            return views, last
        views.append(shown)
        last = item
    return views, None


def fit_page(views: Sequence[M], size: int) -> tuple[list[M], M | None]:
    """Cut a list of views to a page of limited length and bytes, as `fill_page` does.

    Args:
        views: The views from the first one of the page on.
        size: How many views the page holds at most.

    Returns:
        The views of the page, and the last of them; None in its place when no more views follow.
    """
    return fill_page(views, size, lambda view: view)


def find_next_index(items: Sequence[T], recent: Sequence[bytes], key: Callable[[T], bytes]) -> int:
    """Find the first item of the next page in a list from which items are removed meanwhile.

    Args:
        items: The list as it is now.
        recent: The keys of the last items of the page before.
        key: Gives the key of an item.

    Returns:
        The index after the last item of `recent` that is still in the list. 0 when none is: some
        items may then be listed twice, but none is left out.
    """
    wanted = set(recent)
    return max((i + 1 for i, item in enumerate(items) if key(item) in wanted), default=0)


def _check(list_name: str, position: bytes) -> bytes:
    return sha256(b"fedcoin/page\0", list_name.encode(), b"\0", position)[:_CHECK_BYTES]


def _refused() -> RefusalError:
    return RefusalError(
        NetworkCode.BAD_PAGE_TOKEN,
        "page_token is not one that this list gave; leave it empty for the first page, "
        "and keep the filters of the page before",
        field="page_token",
    )
