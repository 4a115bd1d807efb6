"""What misbehaviour costs: a score that grows with each offence and halves every minute."""

from __future__ import annotations

import math
from collections.abc import Mapping
from enum import Enum
from types import MappingProxyType

BAN_SCORE = 100
"""A peer whose score reaches this is banned for a time."""

HALF_LIFE_S = 60.0


class Offence(str, Enum):
    """What a peer can do wrong."""

    BAD_BLOCK = "BAD_BLOCK"
    BAD_HEADERS = "BAD_HEADERS"
    BAD_SIGNATURE = "BAD_SIGNATURE"
    BAD_CHUNK = "BAD_CHUNK"
    MALFORMED = "MALFORMED"
    TOO_LARGE = "TOO_LARGE"
    SLOW = "SLOW"
    REFUSED_MESSAGE = "REFUSED_MESSAGE"
    BROKEN_PROMISE = "BROKEN_PROMISE"
    TOO_FAST = "TOO_FAST"


POINTS: Mapping[Offence, int] = MappingProxyType(
    {
        # Nothing that is right can look like this: whoever passes blocks on has checked them.
        Offence.BAD_BLOCK: 100,
        Offence.BAD_HEADERS: 100,
        Offence.BAD_SIGNATURE: 50,
        Offence.BAD_CHUNK: 50,
        # A newer program's mistake, perhaps.
        Offence.MALFORMED: 25,
        Offence.TOO_LARGE: 25,
        # An overloaded machine, perhaps.
        Offence.SLOW: 10,
        Offence.REFUSED_MESSAGE: 20,
        Offence.BROKEN_PROMISE: 20,
        Offence.TOO_FAST: 5,
    }
)


class Reputation:
    """The decaying score of one peer. `now` is in seconds and never goes back."""

    def __init__(self) -> None:
        self._value = 0.0
        self._at = 0.0

    def value(self, now: float) -> float:
        """The score at this time, 0 or more."""
        return self._value * math.exp(-math.log(2) * max(0.0, now - self._at) / HALF_LIFE_S)

    def add(self, offence: Offence, now: float) -> bool:
        """Count an offence; True when the score has reached the limit."""
        self._value = self.value(now) + POINTS[offence]
        self._at = now
        # What decayed by a hair while the calls came in still counts as reached.
        return self._value >= BAN_SCORE - 0.5
