"""Random numbers derived from a hash, so that all nodes draw the same ones from a seed."""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Sequence

_WORDS = struct.Struct(">8I")
_NUM_WORDS = 1 << 32


class HashStream:
    """A stream of 32-bit words: SHA-256(seed || counter) for counter = 0, 1, 2, ...

    The counter is hashed as 8 bytes, big-endian. Each digest gives eight big-endian words, in the
    order of its bytes.

    Args:
        seed: Any bytes.
    """

    def __init__(self, seed: bytes) -> None:
        self._seed = seed
        self._counter = 0
        # The words that were read, and how many of them were taken.
        self._words: list[int] = []
        self._taken = 0

    def next_word(self) -> int:
        """Take the next word of the stream.

        Returns:
            A number from 0 to 2**32 - 1.
        """
        self._read_words(1)
        self._taken += 1
        return self._words[self._taken - 1]

    def draw_below(self, bound: int) -> int:
        """Draw a uniformly distributed number, by rejection.

        Words at or above the largest multiple of `bound` are skipped, so that every result is
        equally likely.

        Args:
            bound: From 1 to 2**32.

        Returns:
            A number from 0 to `bound - 1`.
        """
        limit = _NUM_WORDS - _NUM_WORDS % bound
        word = self.next_word()
        while word >= limit:
            word = self.next_word()
        return word % bound

    def draw_all_below(self, bounds: Sequence[int]) -> list[int]:
        """Draw one number below each of some bounds, in their order, as `draw_below` does.

        Args:
            bounds: From 1 to 2**32 each.

        Returns:
            A number from 0 to `bound - 1` for each.
        """
        self._read_words(len(bounds))
        words = self._words[self._taken : self._taken + len(bounds)]
        if max(words, default=0) >= _NUM_WORDS - max(bounds, default=1):
            return [self.draw_below(bound) for bound in bounds]
        # No word is so large that it could be skipped.
        self._taken += len(bounds)
        return [word % bound for word, bound in zip(words, bounds, strict=True)]

    def _read_words(self, count: int) -> None:
        """Read as much of the stream as `count` further words need."""
        while len(self._words) - self._taken < count:
            digest = hashlib.sha256(self._seed + self._counter.to_bytes(8, "big")).digest()
            self._words += _WORDS.unpack(digest)
            self._counter += 1
