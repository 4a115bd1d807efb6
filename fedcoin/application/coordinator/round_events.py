"""Telling clients what happens: every watcher sees each change once, in order.

What was announced is kept (a few short messages a round), so a slow watcher needs no queue of its
own, and one that comes back is told how the last round ended before where the present one stands.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass

from fedcoin.application.coordinator.campaign import Campaign, Phase, RoundRecord
from fedcoin.v1 import federated_learning_service_pb2 as pb

_LOOK_SECONDS = 0.05

PHASES = {
    Phase.WAITING: pb.ROUND_PHASE_WAITING,
    Phase.TRAINING: pb.ROUND_PHASE_TRAINING,
    Phase.SETTLING: pb.ROUND_PHASE_SETTLING,
    Phase.FINISHED: pb.ROUND_PHASE_FINISHED,
}


@dataclass(frozen=True, slots=True)
class RoundEvent:
    """One change: what all are told, and what each client got when a round is paid for."""

    message: pb.WatchRoundsResponse
    record: RoundRecord | None = None

    def to(self, address: bytes) -> pb.WatchRoundsResponse:
        """What one client is told."""
        message = pb.WatchRoundsResponse()
        message.CopyFrom(self.message)
        for client in self.record.clients if self.record else ():
            if client.address == address:
                message.payout = client.payout
                message.shapley_nano = client.shapley_nano
        return message


class RoundEventLog:
    """All that was announced since the coordinator started. For one event loop."""

    def __init__(self) -> None:
        self._made: list[RoundEvent] = []
        self._settled = 0
        self._more = asyncio.Event()
        self._dismissed: set[bytes] = set()

    def resume(self, campaign: Campaign) -> None:
        """Begin with how the last round ended, if there is one, and where the campaign stands."""
        if campaign.history:
            self.settled(campaign, campaign.history[-1])
        self.present(campaign)

    def present(self, campaign: Campaign, task_id: bytes = b"") -> None:
        """Announce where the present round stands."""
        message = pb.WatchRoundsResponse(
            phase=PHASES[campaign.phase],
            campaign_id=campaign.campaign_id,
            round=campaign.round,
            task_id=task_id,
        )
        if campaign.phase is Phase.TRAINING:
            message.base = campaign.base
            message.deadline_ms = campaign.deadline_ms
        self._add(RoundEvent(message))

    def settled(self, campaign: Campaign, record: RoundRecord) -> None:
        """Announce that a round is over, and to each client what it got."""
        self._settled = len(self._made)
        message = pb.WatchRoundsResponse(
            phase=pb.ROUND_PHASE_SETTLED,
            campaign_id=campaign.campaign_id,
            round=record.round,
            task_id=record.task_id,
        )
        self._add(RoundEvent(message, record))

    async def follow(self, address: bytes) -> AsyncIterator[pb.WatchRoundsResponse]:
        """What one client is told, from the end of the last round on, until all is over."""
        place = self._settled
        while True:
            while place < len(self._made):
                message = self._made[place].to(address)
                place += 1
                yield message
                if message.phase == pb.ROUND_PHASE_FINISHED:
                    self._dismissed.add(address)
                    return
            more = self._more
            await more.wait()

    async def all_dismissed(self, addresses: Iterable[bytes], seconds: float) -> bool:
        """Wait until these clients were told that all is over; False when the time ran out."""
        waiting = set(addresses)
        deadline = time.monotonic() + seconds
        while not waiting <= self._dismissed:
            if time.monotonic() >= deadline:
                return False
            await asyncio.sleep(_LOOK_SECONDS)
        return True

    def _add(self, announcement: RoundEvent) -> None:
        self._made.append(announcement)
        self._more.set()
        self._more = asyncio.Event()
