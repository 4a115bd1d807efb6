"""How far the height of signed votes may run ahead: no further than time allows.

A signer knows no chain. A node that was taken over could have it sign a vote for a height that the
chain reaches in a thousand years, after which it would sign no lower vote. So heights are rationed
as a token bucket does it: each millisecond is worth a part of a height, and little is saved up.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

SPARE_HEIGHTS: Final = 1_000
"""How many heights a key may be ahead at once, beyond those that time allows."""


@dataclass(frozen=True, slots=True)
class HeightPace:
    """The highest height that was signed, and what was left of the allowance then."""

    height: int
    """The highest height of a signed vote, or the first at which the key may sign."""
    spare_ms: int
    """The unused allowance, in ms of the shortest block intervals."""
    time_ms: int
    """When it was signed, Unix ms."""

    def find_highest(self, now_ms: int, block_ms: int) -> int:
        """Return the highest height that may be signed now.

        Args:
            now_ms: The time, Unix ms. A clock that was set back adds nothing.
            block_ms: The shortest time between two blocks of the network, in ms, at least 1.

        Returns:
            The height.
        """
        return self.height + self._available_ms(now_ms) // block_ms

    def advance(self, height: int, now_ms: int, block_ms: int) -> HeightPace:
        """Take what a signature at a height uses up off the allowance.

        What is left beyond `SPARE_HEIGHTS` expires: else a slow year of the chain would allow a
        jump that is as far as a fast year.

        Args:
            height: A height that is at most `find_highest`.
            now_ms: The time, Unix ms.
            block_ms: The shortest time between two blocks of the network, in ms, at least 1.

        Returns:
            The pace after the signature.
        """
        used_ms = max(0, height - self.height) * block_ms
        left_ms = self._available_ms(now_ms) - used_ms
        spare_ms = min(left_ms, SPARE_HEIGHTS * block_ms)
        return HeightPace(max(height, self.height), spare_ms, now_ms)

    def _available_ms(self, now_ms: int) -> int:
        return self.spare_ms + max(0, now_ms - self.time_ms)


def begin_pace(height: int, now_ms: int, block_ms: int) -> HeightPace:
    """Make the pace of a key that has signed nothing yet.

    Args:
        height: The first height at which it may sign.
        now_ms: The time, Unix ms.
        block_ms: The shortest time between two blocks of the network, in ms, at least 1.

    Returns:
        A pace with the whole spare allowance.
    """
    return HeightPace(height, SPARE_HEIGHTS * block_ms, now_ms)
