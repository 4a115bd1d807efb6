"""Where clients come to: they join, watch, and hand in their updates.

The state is on the disk before a client is told that it was taken.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

from fedcoin.application.coordinator.campaign import Campaign
from fedcoin.application.coordinator.campaign_file import CampaignFile
from fedcoin.application.coordinator.round_events import PHASES, RoundEventLog
from fedcoin.application.errors import ApplicationCode
from fedcoin.data.artifacts.store import ArtifactStore
from fedcoin.data.clock import Clock
from fedcoin.data.crypto.addresses import format_address
from fedcoin.data.errors import RefusalError
from fedcoin.data.messages.updates import Update
from fedcoin.data.plurals import format_count
from fedcoin.network.artifacts.servicer import ArtifactServicer
from fedcoin.network.background_tasks import run_within
from fedcoin.network.federated.servicer import SERVICE, FederatedLearningServicer
from fedcoin.network.listener import Service
from fedcoin.v1 import artifact_service_pb2_grpc, federated_learning_service_pb2_grpc
from fedcoin.v1 import federated_learning_service_pb2 as pb

CheckWeights = Callable[[Path, Path], Awaitable[None]]
"""Raises a Refusal when the weights in the second file are not the model's in the first."""


class RoundService:
    """The `RoundsPort` of `network.federated.servicer` for one campaign. For one event loop."""

    def __init__(
        self,
        campaign: Campaign,
        file: CampaignFile,
        store: ArtifactStore,
        check_weights: CheckWeights,
        plan: pb.TrainingPlan,
        report: Callable[[str], None],
    ) -> None:
        self._campaign = campaign
        self._file = file
        self._store = store
        self._check_weights = check_weights
        self._plan = plan
        self._report = report
        self._changed = asyncio.Event()
        self.announcements = RoundEventLog()
        self.announcements.resume(campaign)

    @property
    def chain_id(self) -> str:
        """The network."""
        return self._campaign.chain_id

    async def changed(self, seconds: float) -> None:
        """Wait until a client joins or hands in, or the time is over."""
        self._changed.clear()
        try:
            await run_within(max(0.0, seconds), self._changed.wait())
        except asyncio.TimeoutError:
            return

    async def register(self, public_key: bytes) -> pb.RegisterResponse:
        """Let a client join. Raises Refusal CAMPAIGN_FINISHED, CAMPAIGN_FULL."""
        campaign = self._campaign
        before = len(campaign.clients)
        address = campaign.register(public_key)
        # Counted before the disk is waited for: meanwhile others may come.
        clients = len(campaign.clients)
        await self._file.save(campaign)
        if clients > before:
            self._report(f"{format_address(address)} joined; now {format_count(clients, 'client')}")
        self._changed.set()
        return pb.RegisterResponse(
            chain_id=campaign.chain_id,
            campaign_id=campaign.campaign_id,
            model=campaign.model,
            rounds=campaign.rounds,
            plan=self._plan,
        )

    def watch(self, address: bytes) -> AsyncIterator[pb.WatchRoundsResponse]:
        """What one client is told. Raises Refusal NOT_REGISTERED."""
        self._campaign.check_registered(address)
        return self.announcements.follow(address)

    async def submit(self, update: Update) -> None:
        """Take an update.

        Raises Refusal: those of ``Campaign.check_update``, WEIGHTS_MISSING, and what is wrong with
        the weights.
        """
        campaign = self._campaign
        if not campaign.check_update(update):
            return
        if not self._store.has(update.update):
            raise RefusalError(
                ApplicationCode.WEIGHTS_MISSING,
                f"the weights {update.update.hex()} are not here; upload them first",
                field="update.update",
            )
        await self._check_weights(self._store.path(campaign.model), self._store.path(update.update))
        # Meanwhile the round may have been closed, or the same been handed in twice.
        if not campaign.check_update(update):
            return
        campaign.take(update)
        handed_in = f"{len(campaign.updates)} of {len(campaign.clients)}"
        await self._file.save(campaign)
        self._report(
            f"round {update.round}: {format_address(update.address)} handed in, trained on "
            f"{format_count(update.num_samples, 'example')}; {handed_in}"
        )
        self._changed.set()

    def status(self) -> pb.GetCampaignStatusResponse:
        """Where the campaign stands."""
        campaign = self._campaign
        return pb.GetCampaignStatusResponse(
            chain_id=campaign.chain_id,
            campaign_id=campaign.campaign_id,
            phase=PHASES[campaign.phase],
            round=campaign.round,
            rounds=campaign.rounds,
            clients=[format_address(address) for address in campaign.clients],
            accuracy_counts=[record.right_answers for record in campaign.history],
            evaluation_size=campaign.shard.size,
        )


def services(desk: RoundService, store: ArtifactStore, clock_ms: Clock) -> list[Service]:
    """What a coordinator's listener offers: the desk, and artifacts both ways."""
    learning = FederatedLearningServicer(desk, clock_ms)
    artifacts = ArtifactServicer(store, uploads=True)
    add_learning = (
        federated_learning_service_pb2_grpc.add_FederatedLearningServiceServicer_to_server
    )
    add_artifacts = artifact_service_pb2_grpc.add_ArtifactServiceServicer_to_server
    return [
        Service(SERVICE, lambda server: add_learning(learning, server)),
        Service("fedcoin.v1.ArtifactService", lambda server: add_artifacts(artifacts, server)),
    ]
