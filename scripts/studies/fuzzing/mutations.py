"""Changed copies of valid bytes."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from typing import Final

MAX_CASE_BYTES: Final = 1 << 16
"""Longer cases are cut: they cost time and reach no other code."""

_NUMBERS: Final = (
    b"\x00",
    b"\xff",
    b"\x7f",
    b"\x80\x80\x80\x80\x80\x80\x80\x80\x80\x01",
    b"\xff\xff\xff\xff\x0f",
    b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01",
    b"-1",
    b"1e400",
    b"99999999999999999999",
    b"\xe2\x82",
)

Change = Callable[[random.Random, bytearray, Sequence[bytes]], None]


def _flip(rng: random.Random, data: bytearray, samples: Sequence[bytes]) -> None:
    if data:
        data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)


def _set(rng: random.Random, data: bytearray, samples: Sequence[bytes]) -> None:
    if data:
        data[rng.randrange(len(data))] = rng.randrange(256)


def _delete(rng: random.Random, data: bytearray, samples: Sequence[bytes]) -> None:
    start = rng.randrange(len(data) + 1)
    del data[start : start + rng.choice((1, 2, 8, 64))]


def _insert(rng: random.Random, data: bytearray, samples: Sequence[bytes]) -> None:
    start = rng.randrange(len(data) + 1)
    data[start:start] = rng.choice((rng.randbytes(rng.choice((1, 4, 33))), rng.choice(_NUMBERS)))


def _overwrite(rng: random.Random, data: bytearray, samples: Sequence[bytes]) -> None:
    number = rng.choice(_NUMBERS)
    start = rng.randrange(len(data) + 1)
    data[start : start + len(number)] = number


def _repeat(rng: random.Random, data: bytearray, samples: Sequence[bytes]) -> None:
    start = rng.randrange(len(data) + 1)
    part = data[start : start + rng.choice((1, 8, 64, 512))]
    data[start:start] = part * rng.choice((1, 2, 50))


def _splice(rng: random.Random, data: bytearray, samples: Sequence[bytes]) -> None:
    other = rng.choice(samples)
    start, cut = rng.randrange(len(data) + 1), rng.randrange(len(other) + 1)
    data[start:] = other[cut:]


def _truncate(rng: random.Random, data: bytearray, samples: Sequence[bytes]) -> None:
    del data[rng.randrange(len(data) + 1) :]


_CHANGES: Final[tuple[Change, ...]] = (
    _flip,
    _flip,
    _set,
    _delete,
    _insert,
    _overwrite,
    _repeat,
    _splice,
    _truncate,
)


def mutate(rng: random.Random, samples: Sequence[bytes]) -> bytes:
    """Change a valid sample in one to eight places, or draw noise.

    Args:
        rng: The source of randomness.
        samples: Valid bytes; at least one.

    Returns:
        At most `MAX_CASE_BYTES` bytes.
    """
    if rng.random() < 0.02:
        return rng.randbytes(rng.choice((0, 1, 7, 40, 300, 5_000)))
    data = bytearray(rng.choice(samples))
    for _ in range(rng.choice((1, 1, 1, 2, 3, 8))):
        rng.choice(_CHANGES)(rng, data, samples)
    return bytes(data[:MAX_CASE_BYTES])
