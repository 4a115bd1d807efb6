"""The reputation of a peer: a score that grows with each offence and halves every minute."""

from __future__ import annotations

import math
from collections.abc import Mapping
from enum import Enum
from types import MappingProxyType

BAN_SCORE = 100
"""A peer whose score reaches this is banned for a time."""

HALF_LIFE_S = 60.0
"""The time in which a score halves, in seconds."""


class Offence(str, Enum):
    """The misbehaviour of a peer that costs it the points in `POINTS`."""

    BAD_BLOCK = "BAD_BLOCK"
    """A synced block is not what its certificate or header says."""
    BAD_HEADERS = "BAD_HEADERS"
    """A chain of headers and certificates that does not hold."""
    BAD_SIGNATURE = "BAD_SIGNATURE"
    """A message with an invalid signature."""
    BAD_CHUNK = "BAD_CHUNK"
    """A chunk of an artifact or snapshot whose bytes have another hash than it should."""
    MALFORMED = "MALFORMED"
    """A message that cannot be decoded, or breaks the rules of its form."""
    TOO_LARGE = "TOO_LARGE"
    """A message longer than its kind may be."""
    SLOW = "SLOW"
    """The peer does not read its stream, or does not send what it was asked for in time."""
    REFUSED_MESSAGE = "REFUSED_MESSAGE"
    """A proposal or vote that this node refused."""
    BROKEN_PROMISE = "BROKEN_PROMISE"
    """The peer said that it has a height, block or snapshot, and did not send it."""
    TOO_FAST = "TOO_FAST"
    """More messages or calls than the limits of rates allow."""


POINTS: Mapping[Offence, int] = MappingProxyType(
    {
        # No honest peer sends these: a node checks blocks and headers before it passes them on.
        Offence.BAD_BLOCK: 100,
        Offence.BAD_HEADERS: 100,
        Offence.BAD_SIGNATURE: 50,
        Offence.BAD_CHUNK: 50,
        # Perhaps the mistake of a newer version.
        Offence.MALFORMED: 25,
        Offence.TOO_LARGE: 25,
        # Perhaps an overloaded machine.
        Offence.SLOW: 10,
        Offence.REFUSED_MESSAGE: 20,
        Offence.BROKEN_PROMISE: 20,
        Offence.TOO_FAST: 5,
    }
)
"""How many points each offence adds to the score; `BAN_SCORE` points ban the peer."""


class Reputation:
    """The score of one peer. Times are in seconds, on a clock that never goes back."""

    def __init__(self) -> None:
        self._value = 0.0
        self._at = 0.0

    def value(self, now: float) -> float:
        """Compute the score at a time.

        Args:
            now: The time in seconds, on the monotonic clock.

        Returns:
            The score, 0 or more.
        """
        return self._value * math.exp(-math.log(2) * max(0.0, now - self._at) / HALF_LIFE_S)

    def add(self, offence: Offence, now: float) -> bool:
        """Count an offence.

        Args:
            offence: The kind of offence; `POINTS` says how much it adds to the score.
            now: The time in seconds, on the monotonic clock.

        Returns:
            True when the score has reached `BAN_SCORE`.
        """
        self._value = self.value(now) + POINTS[offence]
        self._at = now
        # Half a point of tolerance: the score decays between offences that come at once.
        return self._value >= BAN_SCORE - 0.5
