"""The events of a campaign's rounds, as clients watch them: each sees every event once, in order.

All events are kept (a few short messages for each round), so a slow watcher needs no queue of its
own, and one that connects anew first gets the ends of all rounds and then the present one.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass

from fedcoin.application.coordinator.campaign import Campaign, CampaignPhase
from fedcoin.application.coordinator.round_record import RoundRecord
from fedcoin.network.background_tasks import run_within
from fedcoin.v1 import federated_learning_service_pb2 as pb

ROUND_PHASES = {
    CampaignPhase.WAITING: pb.ROUND_PHASE_WAITING,
    CampaignPhase.TRAINING: pb.ROUND_PHASE_TRAINING,
    CampaignPhase.SETTLING: pb.ROUND_PHASE_SETTLING,
    CampaignPhase.FINISHED: pb.ROUND_PHASE_FINISHED,
}
"""The phases as messages name them."""


@dataclass(frozen=True, slots=True)
class RoundEvent:
    """One event: a change of phase, or a round that was paid or failed."""

    message: pb.WatchRoundsResponse
    """The message without the fields that differ between clients."""
    record: RoundRecord | None = None
    """The round that ended; each client is sent its own outcome from it."""

    def message_for(self, address: bytes) -> pb.WatchRoundsResponse:
        """Build the message for one client.

        Args:
            address: The client's address, 20 bytes.

        Returns:
            The message, with the client's examples, payout and Shapley value when a round ended.
        """
        message = pb.WatchRoundsResponse()
        message.CopyFrom(self.message)
        for client in self.record.clients if self.record else ():
            if client.address == address:
                message.payout = client.payout
                message.shapley_nano = client.shapley_nano
                message.num_samples = client.num_samples
        return message


class RoundEventLog:
    """All events since the coordinator started. Use it on one event loop."""

    def __init__(self) -> None:
        self._events: list[RoundEvent] = []
        self._last_settlement = 0
        self._new_event = asyncio.Event()
        self._informed: set[bytes] = set()
        self._new_informed = asyncio.Event()

    def begin(self, campaign: Campaign) -> None:
        """Add the end of each round so far, and the present phase.

        Args:
            campaign: The campaign that was created or loaded.
        """
        for record in campaign.history:
            self.add_round_end(campaign, record)
        self.add_phase(campaign)

    def add_phase(self, campaign: Campaign, task_id: bytes = b"") -> None:
        """Add the present phase of the present round.

        Args:
            campaign: The state of the campaign, as it is now.
            task_id: The round's task, 32 bytes, once it is open.
        """
        message = pb.WatchRoundsResponse(
            phase=ROUND_PHASES[campaign.phase],
            campaign_id=campaign.campaign_id,
            round=campaign.round,
            task_id=task_id,
        )
        if campaign.phase is CampaignPhase.TRAINING:
            message.base = campaign.base
            message.deadline_ms = campaign.deadline_ms
        self._add(RoundEvent(message))

    def add_round_end(self, campaign: Campaign, record: RoundRecord) -> None:
        """Add the event that a round was settled or failed.

        Args:
            campaign: The state of the campaign.
            record: The outcome of the round.
        """
        self._last_settlement = len(self._events)
        message = pb.WatchRoundsResponse(
            phase=pb.ROUND_PHASE_SETTLED,
            campaign_id=campaign.campaign_id,
            round=record.round,
            task_id=record.task_id,
            failed=not record.settled,
        )
        self._add(RoundEvent(message, record))

    async def follow(self, address: bytes) -> AsyncIterator[pb.WatchRoundsResponse]:
        """Watch the events as one client.

        Args:
            address: The client's address, 20 bytes.

        Yields:
            The ends of all rounds so far, and every event from the last of them on, until the
            campaign is finished.
        """
        index = self._last_settlement
        for event in self._events[:index]:
            if event.record is not None:
                yield event.message_for(address)
        while True:
            while index < len(self._events):
                message = self._events[index].message_for(address)
                index += 1
                yield message
                if message.phase == pb.ROUND_PHASE_FINISHED:
                    self._informed.add(address)
                    self._new_informed.set()
                    return
            await self._new_event.wait()

    async def wait_until_informed(self, addresses: Iterable[bytes], seconds: float) -> bool:
        """Wait until clients have got the event that the campaign is finished.

        Args:
            addresses: The clients' addresses, 20 bytes each.
            seconds: How long to wait, in seconds.

        Returns:
            True when all of them have got it in time.
        """
        try:
            await run_within(seconds, self._wait_until_informed(set(addresses)))
        except asyncio.TimeoutError:
            return False
        return True

    async def _wait_until_informed(self, addresses: set[bytes]) -> None:
        while not addresses <= self._informed:
            self._new_informed.clear()
            await self._new_informed.wait()

    def _add(self, event: RoundEvent) -> None:
        self._events.append(event)
        self._new_event.set()
        self._new_event = asyncio.Event()
