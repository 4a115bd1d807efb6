"""Addresses: the first 20 bytes of SHA-256(public key), written in bech32m (BIP-350)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Final

from fedcoin.data.crypto.hashing import sha256
from fedcoin.data.errors import DataCode, RefusalError
from fedcoin.data.field_checks import check_length

ADDRESS_BYTES: Final = 20
"""The length of an address, in bytes."""

_ADDRESS_PREFIX: Final = "fc"
"""The human-readable part of every address: the letters before the `1`."""

_ALPHABET: Final = "qpzry9x8gf2tvdw0s3jn54khce6mua7l"
_VALUES: Final = {letter: value for value, letter in enumerate(_ALPHABET)}
_GENERATOR: Final = (0x3B6A57B2, 0x26508E6D, 0x1EA119FA, 0x3D4233DD, 0x2A1462B3)
_BECH32M: Final = 0x2BC830A3
_CHECKSUM: Final = 6
_REMEMBERED: Final = 16_384
_MAX_LENGTH: Final = 90


def derive_address(public_key: bytes) -> bytes:
    """Derive the address of a public key.

    Args:
        public_key: The Ed25519 public key, 32 bytes.

    Returns:
        The first 20 bytes of the key's SHA-256.
    """
    return sha256(public_key)[:ADDRESS_BYTES]


@lru_cache(_REMEMBERED)
def format_address(address: bytes) -> str:
    """Format an address in bech32m.

    Caches the latest results, since a list of tasks names the same addresses again and again.

    Args:
        address: The address, 20 bytes.

    Returns:
        `fc1...`, 41 characters.

    Raises:
        RefusalError: BAD_ADDRESS when the address does not have 20 bytes.
    """
    check_length(address, ADDRESS_BYTES, "address", code=DataCode.BAD_ADDRESS)
    return encode_bech32m(_ADDRESS_PREFIX, _regroup(address, 8, 5, pad=True))


def parse_address(text: str) -> bytes:
    """Read an address in bech32m. Its checksum detects up to four wrong characters.

    Args:
        text: The address as a person typed it: `fc1...`, in lower or upper case.

    Returns:
        The address, 20 bytes.

    Raises:
        RefusalError: BAD_ADDRESS when the text is not the bech32m form of 20 bytes with the
            prefix `fc`.
    """
    prefix, values = decode_bech32m(text)
    if prefix != _ADDRESS_PREFIX:
        raise _refused(f"{text[:90]!r} begins with {prefix!r}; an address begins with 'fc1'")
    try:
        address = bytes(_regroup(values, 5, 8, pad=False))
    except ValueError as error:
        raise _refused(f"{text!r} is not an address: {error}") from None
    if len(address) != ADDRESS_BYTES:
        raise _refused(f"{text!r} holds {len(address)} bytes; an address has {ADDRESS_BYTES}")
    return address


def encode_bech32m(prefix: str, values: Sequence[int]) -> str:
    """Encode 5-bit values in bech32m (BIP-350).

    Args:
        prefix: The human-readable part, in lower case.
        values: Numbers from 0 to 31.

    Returns:
        The prefix, a `1`, one letter for each value, and a checksum of 6 letters.
    """
    seed = [*_expand(prefix), *values, *(0 for _ in range(_CHECKSUM))]
    check = _polymod(seed) ^ _BECH32M
    tail = [(check >> 5 * (5 - i)) & 31 for i in range(_CHECKSUM)]
    return prefix + "1" + "".join(_ALPHABET[value] for value in (*values, *tail))


def decode_bech32m(text: str) -> tuple[str, list[int]]:
    """Read a bech32m string (BIP-350).

    Args:
        text: The string, in lower or upper case.

    Returns:
        The human-readable part in lower case, and the values, numbers from 0 to 31, without the
        checksum.

    Raises:
        RefusalError: BAD_ADDRESS when the string has more than 90 characters, mixes upper and
            lower case, holds a character that bech32m does not use, or has a wrong checksum.
    """
    shown = repr(text[:_MAX_LENGTH])
    if len(text) > _MAX_LENGTH:
        raise _refused(f"{shown}... has {len(text)} characters; at most {_MAX_LENGTH} are allowed")
    if any(not 33 <= ord(letter) <= 126 for letter in text):
        raise _refused(f"{shown} holds a character that no address contains")
    if text.lower() != text and text.upper() != text:
        raise _refused(f"{shown} mixes upper and lower case")
    prefix, one, data = text.lower().rpartition("1")
    if not one or not prefix or len(data) < _CHECKSUM:
        raise _refused(f"{shown} is not an address such as 'fc1...'")
    if any(letter not in _VALUES for letter in data):
        raise _refused(f"{shown} holds a letter that bech32m does not use (1, b, i, o or a sign)")
    values = [_VALUES[letter] for letter in data]
    if _polymod([*_expand(prefix), *values]) != _BECH32M:
        raise _refused(f"{shown} has a wrong checksum: a character is missing or mistyped")
    return prefix, values[:-_CHECKSUM]


def _expand(prefix: str) -> list[int]:
    return [ord(x) >> 5 for x in prefix] + [0] + [ord(x) & 31 for x in prefix]


def _polymod(values: Iterable[int]) -> int:
    check = 1
    for value in values:
        top = check >> 25
        check = (check & 0x1FFFFFF) << 5 ^ value
        for i, term in enumerate(_GENERATOR):
            if top >> i & 1:
                check ^= term
    return check


def _regroup(values: Iterable[int], width: int, into: int, *, pad: bool) -> list[int]:
    held = bits = 0
    out: list[int] = []
    for value in values:
        held, bits = held << width | value, bits + width
        while bits >= into:
            bits -= into
            out.append(held >> bits & ((1 << into) - 1))
        held &= (1 << bits) - 1
    if pad and bits:
        out.append(held << (into - bits))
    elif not pad and (bits >= width or held):
        raise ValueError("its padding is not zero")
    return out


def _refused(message: str) -> RefusalError:
    return RefusalError(DataCode.BAD_ADDRESS, message, field="address")
