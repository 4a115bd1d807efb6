"""Random numbers derived from a hash, so that all nodes draw the same ones from a seed."""

from __future__ import annotations

import hashlib
import struct

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
            digest = hashlib.sha256(self._seed + self._counter.to_bytes(8, "big")).digest()
            self._words = list(_WORDS.unpack(digest))[::-1]
            self._counter += 1
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
        limit = _NUM_WORDS - _NUM_WORDS % bound
        word = self.next_word()
        while word >= limit:
            word = self.next_word()
        return word % bound
