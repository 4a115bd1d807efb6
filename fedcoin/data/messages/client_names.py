"""Names that clients give themselves: which are allowed, and how they are shown.

A name is signed with an update and shown beside its address. It is a claim: nobody checks it.
"""

from __future__ import annotations

from typing import Final

from fedcoin.data.crypto.addresses import format_address
from fedcoin.data.errors import DataCode, RefusalError

MAX_NAME_BYTES: Final = 48
"""The largest length of a name in UTF-8, in bytes."""

_INVISIBLE: Final = (
    range(0x20),
    range(0x7F, 0xA0),
    range(0x200B, 0x2010),
    range(0x2028, 0x202F),
    range(0x2060, 0x2070),
    range(0xD800, 0xE000),
    range(0xFEFF, 0xFF00),
)
"""Control characters, line separators, zero-width characters, those that turn the direction of
text, and surrogates, which UTF-8 does not have. Fixed here, since Python's own tables change with
its version and validators must agree."""


def check_name(name: str, field: str = "name") -> None:
    """Check that a name may be signed.

    Args:
        name: The name; empty means none.
        field: The field's name, for the refusal.

    Raises:
        RefusalError: MALFORMED when it is longer than `MAX_NAME_BYTES`, or has a control character,
            a zero-width character, or one that turns the direction of text.
    """
    size = len(name.encode("utf-8", "surrogatepass"))
    if size > MAX_NAME_BYTES:
        raise _malformed(field, f"has {size} bytes in UTF-8; at most {MAX_NAME_BYTES} are allowed")
    if any(ord(character) in invisible for character in name for invisible in _INVISIBLE):
        raise _malformed(field, f"has invisible characters ({name!a}); leave them out")


def show_name(name: str) -> str:
    r"""Prepare a name for a person's eyes.

    Args:
        name: A name, as it was signed.

    Returns:
        The name, at most `MAX_NAME_BYTES` characters, with escapes such as `\xad` in place of
        what this machine cannot print.
    """
    return "".join(
        character if character.isprintable() else character.encode("unicode_escape").decode()
        for character in name[:MAX_NAME_BYTES]
    )


def describe_client(address: bytes, name: str) -> str:
    """Describe a client in a line for people.

    Args:
        address: Its address, 20 bytes.
        name: What it calls itself; empty when it gave no name.

    Returns:
        The address in bech32m, and the name in quotes where there is one.
    """
    shown = format_address(address)
    return f'{shown} ("{show_name(name)}")' if name else shown


def _malformed(field: str, problem: str) -> RefusalError:
    return RefusalError(
        DataCode.MALFORMED, f"{field} {problem}", field=field, limit=str(MAX_NAME_BYTES)
    )
