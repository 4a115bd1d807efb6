"""Carries packets between nodes, badly until the scenario's calm and well from then on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from heapq import heappop, heappush
from random import Random
from typing import Union

from fedcoin.consensus.effects import Message
from fedcoin.testing.consensus_simulation.scenario import Scenario

Action = Callable[[], None]


@dataclass(frozen=True, slots=True)
class HeightAnnouncement:
    """The sender is deciding this height."""

    height: int


@dataclass(frozen=True, slots=True)
class FinalBlock:
    """A final block with its certificate."""

    height: int
    block_hash: bytes
    raw: bytes
    certificate: bytes


Packet = Union[Message, HeightAnnouncement, FinalBlock]  # noqa: UP007
"""What correct nodes send."""


class VirtualClock:
    """Virtual time, and what is to happen when; at one instant, in the order of asking."""

    def __init__(self) -> None:
        self.now_ms = 0
        self._queue: list[tuple[int, int, Action]] = []
        self._asked = 0

    def after(self, delay_ms: int, action: Action) -> None:
        """Do this so many ms from now."""
        self._asked += 1
        heappush(self._queue, (self.now_ms + delay_ms, self._asked, action))

    def step(self, deadline_ms: int) -> bool:
        """Do the next thing; False when there is none until the deadline."""
        if not self._queue or self._queue[0][0] > deadline_ms:
            return False
        self.now_ms, _, action = heappop(self._queue)
        action()
        return True


class PacketNetwork:
    """Loses, doubles, delays and so reorders packets, all by the scenario's numbers."""

    def __init__(
        self,
        scenario: Scenario,
        clock: VirtualClock,
        rng: Random,
        deliver: Callable[[int, int, object], None],
    ) -> None:
        self._scenario = scenario
        self._clock = clock
        self._rng = rng
        self._deliver = deliver
        self.sent = 0

    @property
    def is_calm(self) -> bool:
        """Do messages flow by now?"""
        return self._clock.now_ms >= self._scenario.calm_ms

    def send(self, sender: int, receiver: int, packet: object) -> None:
        """Send a packet, which may arrive, now or later, once or more often."""
        self.sent += 1
        scenario = self._scenario
        if self.is_calm:
            self._carry(sender, receiver, packet, scenario.calm_delay_ms)
            return
        if self._is_cut(sender, receiver) or self._rng.random() < scenario.loss:
            return
        self._carry(sender, receiver, packet, scenario.delay_ms)
        if self._rng.random() < scenario.duplication:
            self._carry(sender, receiver, packet, 4 * scenario.delay_ms)

    def _carry(self, sender: int, receiver: int, packet: object, most_ms: int) -> None:
        delay = 1 + int(self._rng.random() * most_ms)
        self._clock.after(delay, lambda: self._deliver(sender, receiver, packet))

    def _is_cut(self, sender: int, receiver: int) -> bool:
        now = self._clock.now_ms
        return any(
            cut.start_ms <= now < cut.end_ms and sender in cut.senders and receiver in cut.receivers
            for cut in self._scenario.cuts
        )
