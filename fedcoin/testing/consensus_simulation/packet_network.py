"""Virtual time, and a network that carries packets badly at first and well later on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from heapq import heappop, heappush
from random import Random
from typing import Union

from fedcoin.consensus.effects import Message
from fedcoin.data.messages.blocks import Block
from fedcoin.testing.consensus_simulation.scenario import Scenario

Action = Callable[[], None]


@dataclass(frozen=True, slots=True)
class HeightAnnouncement:
    """Tells a peer which height the sender is deciding."""

    # The height that the sender is deciding.
    height: int


@dataclass(frozen=True, slots=True)
class FinalBlock:
    """A final block with its certificate."""

    # The block's height.
    height: int
    # The final block.
    block: Block
    # A serialised Certificate.
    certificate: bytes


Packet = Union[Message, HeightAnnouncement, FinalBlock]  # noqa: UP007
"""The messages that correct nodes send."""


class VirtualClock:
    """Virtual time, and a queue of actions; those of one moment run in the order of scheduling."""

    def __init__(self) -> None:
        """Start at time 0 without actions."""
        self.now_ms = 0
        self._queue: list[tuple[int, int, Action]] = []
        self._num_scheduled = 0

    def schedule(self, delay_ms: int, action: Action) -> None:
        """Run an action later.

        Args:
            delay_ms: The delay in virtual ms.
            action: Called without arguments.
        """
        self._num_scheduled += 1
        heappush(self._queue, (self.now_ms + delay_ms, self._num_scheduled, action))

    def step(self, deadline_ms: int) -> bool:
        """Advance to the next action and run it.

        Args:
            deadline_ms: The latest time to advance to, in virtual ms.

        Returns:
            False when no action is left until the deadline.
        """
        if not self._queue or self._queue[0][0] > deadline_ms:
            return False
        self.now_ms, _, action = heappop(self._queue)
        action()
        return True


class PacketNetwork:
    """Loses, duplicates, delays and so reorders packets, as the scenario says."""

    def __init__(
        self,
        scenario: Scenario,
        clock: VirtualClock,
        rng: Random,
        deliver: Callable[[int, int, object], None],
    ) -> None:
        """Make a network of a scenario's nodes.

        Args:
            scenario: Holds delays, loss and partitions.
            clock: The simulation's clock.
            rng: Draws delays and loss.
            deliver: Called with sender, receiver and packet when a packet arrives.
        """
        self._scenario = scenario
        self._clock = clock
        self._rng = rng
        self._deliver = deliver
        self.num_sent = 0

    @property
    def is_calm(self) -> bool:
        """Whether every packet arrives from now on."""
        return self._clock.now_ms >= self._scenario.calm_ms

    def send(self, sender: int, receiver: int, packet: object) -> None:
        """Send a packet, which arrives never, once or twice, after some delay.

        Args:
            sender: The sender's index.
            receiver: The receiver's index.
            packet: The packet that the receiver gets.
        """
        self.num_sent += 1
        scenario = self._scenario
        if self.is_calm:
            self._deliver_later(sender, receiver, packet, scenario.calm_delay_ms)
            return
        if self._is_cut(sender, receiver) or self._rng.random() < scenario.loss:
            return
        self._deliver_later(sender, receiver, packet, scenario.delay_ms)
        if self._rng.random() < scenario.duplication:
            self._deliver_later(sender, receiver, packet, 4 * scenario.delay_ms)

    def _deliver_later(self, sender: int, receiver: int, packet: object, max_delay_ms: int) -> None:
        delay = 1 + int(self._rng.random() * max_delay_ms)
        self._clock.schedule(delay, lambda: self._deliver(sender, receiver, packet))

    def _is_cut(self, sender: int, receiver: int) -> bool:
        now = self._clock.now_ms
        return any(
            cut.start_ms <= now < cut.end_ms and sender in cut.senders and receiver in cut.receivers
            for cut in self._scenario.cuts
        )
