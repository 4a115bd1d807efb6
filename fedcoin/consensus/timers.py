"""Timers of a Tendermint round, and how long each runs."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class TimerKind(str, Enum):
    """The message that a timer waits for: the proposal, late prevotes, or late precommits."""

    PROPOSE = "PROPOSE"
    PREVOTE = "PREVOTE"
    PRECOMMIT = "PRECOMMIT"


@dataclass(frozen=True, slots=True)
class Timer:
    """One timer of one round. It has no effect when it expires after the round has moved on."""

    kind: TimerKind
    """What the timer waits for."""
    round: int
    """The consensus round, from 0."""


@dataclass(frozen=True, slots=True)
class Timeouts:
    """The delays of the timers.

    Each round adds half of round 0's delay, so that eventually a round lasts longer than messages
    travel. The delays stop growing at `max_ms`.
    """

    propose_ms: int
    """How long round 0 waits for the proposal, in ms."""
    vote_ms: int
    """How long round 0 waits for late votes, in ms."""
    max_ms: int = 60_000
    """The longest delay, in ms. Where round 0's delay is longer, all rounds have that one."""

    def delay_ms(self, timer: Timer) -> int:
        """Compute how long a timer runs.

        Args:
            timer: The timer, whose kind and round decide.

        Returns:
            The delay in ms: `propose_ms` or `vote_ms`, times 1 + round / 2; at most
            `max_ms`, or round 0's delay where that is longer.
        """
        base = self.propose_ms if timer.kind is TimerKind.PROPOSE else self.vote_ms
        return min(base + base * timer.round // 2, max(self.max_ms, base))
