"""What callers write, turned into what the chain is made of, or refused by the field's name."""

from __future__ import annotations

from typing import Final

from fedcoin.data.crypto.addresses import parse_address
from fedcoin.data.errors import RefusalError
from fedcoin.network.errors import NetworkCode

HASH_BYTES: Final = 32

MAX_HEIGHT: Final = 2**63 - 1
"""Heights are stored as signed 64-bit numbers."""


def parse_hash(text: str, field: str) -> bytes:
    """64 hex digits as 32 bytes; either case. Refusal MALFORMED."""
    try:
        value = bytes.fromhex(text)
    except ValueError:
        value = b""
    # fromhex allows spaces between bytes; a hash has none.
    if len(value) != HASH_BYTES or len(text) != 2 * HASH_BYTES:
        raise RefusalError(
            NetworkCode.MALFORMED,
            f"{field} is {_shown(text)}; it must be 64 hex digits",
            field=field,
            limit="64",
        )
    return value


def parse_address_field(text: str, field: str) -> bytes:
    """bech32m as 20 bytes. Refusal BAD_ADDRESS that names `field`."""
    if not text:
        raise RefusalError(
            NetworkCode.MALFORMED, f"{field} is empty; it must be an address", field=field
        )
    try:
        return parse_address(text)
    except RefusalError as refusal:
        raise refusal.prefixed(field, field=field) from None


def check_height(value: int, field: str) -> int:
    """A height of at least 1. Refusal MALFORMED."""
    if not 1 <= value <= MAX_HEIGHT:
        raise RefusalError(
            NetworkCode.MALFORMED,
            f"{field} is {value}; heights begin at 1",
            field=field,
            limit=f"1 to {MAX_HEIGHT}",
        )
    return value


def choose_page_size(asked: int, *, usual: int, most: int) -> int:
    """How many items a page holds: `usual` when 0 was asked for, `most` at most."""
    return min(asked, most) if asked else usual


def _shown(text: str) -> str:
    return "empty" if not text else repr(text if len(text) <= 70 else text[:67] + "...")
