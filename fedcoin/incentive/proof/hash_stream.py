"""Numbers drawn from a hash: the same for everybody who knows the seed."""

from __future__ import annotations

import hashlib
import struct

_WORDS = struct.Struct(">8I")
_SPAN = 1 << 32


class HashStream:
    """32-bit words of SHA-256(seed || counter), counter = 0, 1, ... as 8 bytes big-endian.

    Each digest gives eight words, big-endian, in the order of its bytes.
    """

    def __init__(self, seed: bytes) -> None:
        self._seed = seed
        self._counter = 0
        self._words: list[int] = []

    def next_word(self) -> int:
        """The next word, 0 to 2**32 - 1."""
        if not self._words:
            block = hashlib.sha256(self._seed + self._counter.to_bytes(8, "big")).digest()
            self._words = list(_WORDS.unpack(block))[::-1]
            self._counter += 1
        return self._words.pop()

    def draw_below(self, bound: int) -> int:
        """A uniform number from 0 to ``bound - 1``; ``bound`` is from 1 to 2**32.

        Words at or above the largest multiple of ``bound`` are thrown away, so that no number
        is more likely than another.
        """
        limit = _SPAN - _SPAN % bound
        word = self.next_word()
        while word >= limit:
            word = self.next_word()
        return word % bound
