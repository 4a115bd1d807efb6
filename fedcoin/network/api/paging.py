"""Lists in pages: tokens that say where the next page begins.

A token is the position after which the next page begins, with a check over it, the list and
the filters that it was made for, in URL-safe base64. It is opaque to the caller, stays good
while the chain grows, and is refused when it was cut short, changed, or taken to another
list. It is no secret: all that it can do is begin a public list somewhere.
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
from fedcoin.network.options import PAGE_BYTES

T = TypeVar("T")
M = TypeVar("M", bound=Message)

_CHECK_BYTES: Final = 8
_MAX_TOKEN: Final = 256


def encode_token(scope: str, position: bytes) -> str:
    """A token for the page after `position`; `scope` names the list and its filters."""
    return base64.urlsafe_b64encode(_check(scope, position) + position).decode().rstrip("=")


def decode_token(scope: str, token: str) -> bytes | None:
    """The position in a token; None for the first page. Refusal BAD_PAGE_TOKEN."""
    if not token:
        return None
    if len(token) > _MAX_TOKEN:
        raise _refused()
    try:
        raw = base64.b64decode(token + "=" * (-len(token) % 4), b"-_", validate=True)
    except (binascii.Error, ValueError):
        raise _refused() from None
    check, position = raw[:_CHECK_BYTES], raw[_CHECK_BYTES:]
    if check != _check(scope, position):
        raise _refused()
    return position


def encode_position_token(scope: str, place: tuple[int, int] | None) -> str:
    """A token for what stands before a place (height, position) in the chain; empty for None."""
    return "" if place is None else encode_token(scope, struct.pack(">QQ", *place))


def decode_position_token(scope: str, token: str) -> tuple[int, int] | None:
    """The place in a token; None for the first page. Refusal BAD_PAGE_TOKEN."""
    position = decode_token(scope, token)
    if position is None:
        return None
    if len(position) != 16:
        raise _refused()
    height, place = struct.unpack(">QQ", position)
    return height, place


def fill_page(
    items: Iterable[T], size: int, view: Callable[[T], M], *, max_bytes: int = PAGE_BYTES
) -> tuple[list[M], T | None]:
    """The views of a page, and its last item if more follow it; else None.

    At most `size` views and `max_bytes` bytes, but one view at least.
    """
    views: list[M] = []
    held = 0
    last: T | None = None
    for item in items:
        if len(views) == size:
            return views, last
        shown = view(item)
        held += shown.ByteSize()
        if views and held > max_bytes:
            return views, last
        views.append(shown)
        last = item
    return views, None


def fit_page(views: Sequence[M], size: int) -> tuple[list[M], M | None]:
    """`cut` for views that are there already."""
    return fill_page(views, size, _itself)


def find_next_index(items: Sequence[T], recent: Sequence[bytes], key: Callable[[T], bytes]) -> int:
    """Where a page begins in a list that loses items: after the latest of `recent` still there.

    At the start when none is: what was shown may come again, but nothing is left out.
    """
    wanted = set(recent)
    return max((i + 1 for i, item in enumerate(items) if key(item) in wanted), default=0)


def _itself(view: M) -> M:
    return view


def _check(scope: str, position: bytes) -> bytes:
    return sha256(b"fedcoin/page\0", scope.encode(), b"\0", position)[:_CHECK_BYTES]


def _refused() -> RefusalError:
    return RefusalError(
        NetworkCode.BAD_PAGE_TOKEN,
        "page_token is not one that this list gave; leave it empty for the first page, "
        "and keep the filters of the page before",
        field="page_token",
    )
