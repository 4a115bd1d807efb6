"""Random numbers derived from a hash, so that all nodes draw the same ones from a seed."""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Iterable

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
        self._words: list[int] = []

    def next_word(self) -> int:
        """Take the next word of the stream.

        Returns:
            A number from 0 to 2**32 - 1.
        """
        if not self._words:
            self._read_words()
        return self._words.pop()

    def draw_below(self, bound: int) -> int:
        """Draw a uniformly distributed number, by rejection.

        Words at or above the largest multiple of `bound` are skipped, so that every result is
        equally likely.

        Args:
            bound: From 1 to 2**32.

        Returns:
            A number from 0 to `bound - 1`.
        """
        return self.draw_all_below([bound])[0]

    def draw_all_below(self, bounds: Iterable[int]) -> list[int]:
        """Draw one number below each of some bounds, in their order, as `draw_below` does.

        Args:
            bounds: From 1 to 2**32 each.

        Returns:
            A number from 0 to `bound - 1` for each.
        """
        words = self._words
        drawn: list[int] = []
        for bound in bounds:
            limit = _NUM_WORDS - _NUM_WORDS % bound
            word = limit
            while word >= limit:
                if not words:
                    self._read_words()
                word = words.pop()
            drawn.append(word % bound)
        return drawn

    def _read_words(self) -> None:
        digest = hashlib.sha256(self._seed + self._counter.to_bytes(8, "big")).digest()
        self._words.extend(reversed(_WORDS.unpack(digest)))
        self._counter += 1
