"""Fields of requests: text is turned into bytes, or refused by the name of its field."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from fedcoin.data.crypto.addresses import parse_address
from fedcoin.data.crypto.hashing import HASH_BYTES
from fedcoin.data.errors import RefusalError
from fedcoin.network.errors import NetworkCode

MAX_HEIGHT: Final = 2**63 - 1
"""The largest height: heights are stored as signed 64-bit numbers."""

MIN_HASH_DIGITS: Final = 8
"""How many first digits can stand for a hash, where a method allows that, at least."""

MAX_NAMED: Final = 5
"""How many hashes are named at most where several begin with the same digits."""

_MAX_SHOWN_CHARACTERS: Final = 70


def parse_hash(text: str, field: str) -> bytes:
    """Decode a hash or a public key.

    Args:
        text: 64 hex digits, in either case.
        field: The request's field, for the refusal.

    Returns:
        32 bytes.

    Raises:
        RefusalError: MALFORMED when the text is anything else.
    """
    try:
        value = bytes.fromhex(text)
    except ValueError:
        value = b""
    # `fromhex` allows spaces between bytes; a hash has none.
    if len(value) != HASH_BYTES or len(text) != 2 * HASH_BYTES:
        raise RefusalError(
            NetworkCode.MALFORMED,
            f"{field} is {_shown(text)}; it must be 64 hex digits",
            field=field,
            limit="64",
        )
    return value


def parse_hash_range(text: str, field: str) -> tuple[bytes, bytes]:
    """Decode a hash, or the first digits of one.

    Args:
        text: 8 to 64 hex digits, in either case.
        field: The request's field, for the refusal.

    Returns:
        The lowest and the highest hash that begin so, 32 bytes each.

    Raises:
        RefusalError: MALFORMED when the text is anything else.
    """
    digits = 2 * HASH_BYTES
    if not MIN_HASH_DIGITS <= len(text) < digits:
        whole = parse_hash(text, field)
        return whole, whole
    return (
        parse_hash(text.ljust(digits, "0"), field),
        parse_hash(text.ljust(digits, "f"), field),
    )


def refuse_several(what: str, digits: str, found: Sequence[bytes]) -> RefusalError:
    """Refuse the first digits of a hash that begin several ones.

    Args:
        what: What the hashes are of, in the plural.
        digits: The first digits that were given.
        found: Some of the hashes, 32 bytes each.

    Returns:
        The refusal, MALFORMED, which names them.
    """
    return RefusalError(
        NetworkCode.MALFORMED,
        f"hash is {digits}, and several {what} begin so; give more digits: "
        + ", ".join(one.hex() for one in found),
        field="hash",
        limit="64",
    )


def parse_address_field(text: str, field: str) -> bytes:
    """Decode an address.

    Args:
        text: The address in bech32m.
        field: The request's field, for the refusal.

    Returns:
        20 bytes.

    Raises:
        RefusalError: MALFORMED when the text is empty; BAD_ADDRESS when it is no address.
    """
    if not text:
        raise RefusalError(
            NetworkCode.MALFORMED, f"{field} is empty; it must be an address", field=field
        )
    try:
        return parse_address(text)
    except RefusalError as refusal:
        raise refusal.prefixed(field, field=field) from None


def check_height(value: int, field: str) -> int:
    """Check a height.

    Args:
        value: The height that the request names.
        field: The request's field, for the refusal.

    Returns:
        `value`, unchanged.

    Raises:
        RefusalError: MALFORMED when it is 0 or above `MAX_HEIGHT`.
    """
    if not 1 <= value <= MAX_HEIGHT:
        raise RefusalError(
            NetworkCode.MALFORMED,
            f"{field} is {value}; heights begin at 1",
            field=field,
            limit=f"1 to {MAX_HEIGHT}",
        )
    return value


def choose_page_size(requested: int, *, default: int, maximum: int) -> int:
    """Choose how many items a page holds.

    Args:
        requested: What the request asks for; 0 means the default.
        default: The number without a request.
        maximum: The largest number.

    Returns:
        The number of items.
    """
    return min(requested, maximum) if requested else default


def _shown(text: str) -> str:
    if not text:
        return "empty"
    is_short = len(text) <= _MAX_SHOWN_CHARACTERS
    return repr(text if is_short else text[: _MAX_SHOWN_CHARACTERS - 3] + "...")
