"""Timers of a Tendermint round, and how long each runs."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class TimerKind(str, Enum):
    """What a timer waits for: a proposal, straggling prevotes, straggling precommits."""

    PROPOSE = "PROPOSE"
    PREVOTE = "PREVOTE"
    PRECOMMIT = "PRECOMMIT"


@dataclass(frozen=True, slots=True)
class Timer:
    """One timer of one round. When it ends later than it matters, nothing happens."""

    kind: TimerKind
    round: int


@dataclass(frozen=True, slots=True)
class Timeouts:
    """How long round 0 waits for a proposal and for straggling votes, in ms.

    Each round waits half as long again as round 0 did, so that sooner or later a round is
    longer than the network's delays; but no timer runs for more than `most_ms`.
    """

    propose_ms: int
    vote_ms: int
    max_ms: int = 60_000

    def delay_ms(self, timer: Timer) -> int:
        """How long a timer runs, in ms."""
        base = self.propose_ms if timer.kind is TimerKind.PROPOSE else self.vote_ms
        return min(base + base * timer.round // 2, max(self.max_ms, base))
