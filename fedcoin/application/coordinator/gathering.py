"""The first half of a round: waiting for clients, and for their updates, which are checked.

How long it waits is the coordinator's alone: neither the chain nor the clients know these times.
"""

from __future__ import annotations

from collections.abc import Callable

from fedcoin.application.configuration.coordinator_config import CoordinatorConfig
from fedcoin.application.coordinator.campaign import Campaign
from fedcoin.application.coordinator.campaign_file import CampaignFile
from fedcoin.application.coordinator.clients_file import follow_clients_file
from fedcoin.application.coordinator.participation import check_lone_update
from fedcoin.application.coordinator.round_service import RoundService
from fedcoin.application.wallet.delivery import Delivery
from fedcoin.data.artifacts.store import ArtifactStore
from fedcoin.data.clock import Clock
from fedcoin.data.plurals import format_count
from fedcoin.learning.evaluation.lone_updates import build_lone_job
from fedcoin.learning.measures.terms import NAMES, largest_utility
from fedcoin.learning.workers.pool import WorkerPool
from fedcoin.network.client.node_client import NodeClient


async def check_harm_alone(
    config: CoordinatorConfig,
    campaign: Campaign,
    store: ArtifactStore,
    workers: WorkerPool,
    update: bytes,
) -> None:
    """Check before a receipt is signed that an update does not ruin the round's model by itself.

    Args:
        config: The measure, and `max_update_harm`.
        campaign: The campaign, in a round.
        store: Holds the artifacts of both.
        workers: Evaluate, in a process of their own.
        update: The artifact id of the update's weights, 32 bytes, which fit the model.

    Raises:
        RefusalError: HARMFUL_UPDATE when it does.
        WorkerError: The worker process died twice.
    """
    if config.max_update_harm >= 1:
        return
    utility = NAMES[config.utility]
    job = build_lone_job(
        store.path(campaign.model),
        store.path(campaign.base),
        store.path(update),
        store.path(campaign.shard.artifact),
        utility,
        store.path(campaign.frozen) if campaign.frozen else None,
    )
    found = await workers.measure_lone_update(job)
    check_lone_update(found, largest_utility(utility, campaign.shard.size), config.max_update_harm)


class RoundGathering:
    """Waits for the clients of a campaign's rounds, and for their updates.

    Args:
        config: How many clients a campaign begins with, and how long they are waited for.
        campaign: The campaign, which is open on the chain.
        file: Where its state is saved, before clients are told of it.
        service: What clients reach; it tells of joining clients and of updates.
        node: The node that a list of clients goes to.
        delivery: Delivers that list.
        report: Takes one line of text for each event worth logging.
        clock_ms: The wall clock.
    """

    def __init__(
        self,
        config: CoordinatorConfig,
        campaign: Campaign,
        file: CampaignFile,
        service: RoundService,
        node: NodeClient,
        delivery: Delivery,
        report: Callable[[str], None],
        clock_ms: Clock,
    ) -> None:
        self._config = config
        self._campaign = campaign
        self._file = file
        self._service = service
        self._node = node
        self._delivery = delivery
        self._report = report
        self._clock_ms = clock_ms

    async def wait_for_clients(self) -> bool:
        """Have chain and campaign follow the file of clients, and wait for enough clients to join.

        The first round waits for the configured number of clients, later ones for any client.

        Returns:
            Whether any client is there; False only when none came within `join_seconds`.

        Raises:
            RpcError: The chain refuses the list of clients, or the node does not know the campaign.
        """
        campaign = self._campaign
        await self._apply_clients_file()
        wanted = self._config.clients if campaign.round == 1 else 1
        deadline = self._clock_ms() + round(self._config.join_seconds * 1000)
        if self._count_present() < wanted:
            clients = format_count(wanted, "client")
            self._report(f"round {campaign.round}: waiting for {clients}")
        while (present := self._count_present()) < wanted:
            remaining_ms = deadline - self._clock_ms()
            if remaining_ms <= 0:
                break
            await self._service.wait_for_change(remaining_ms / 1000)
        return bool(present)

    async def begin_training(self) -> None:
        """Announce the round, from which clients have `round_seconds` for their updates."""
        campaign = self._campaign
        campaign.begin_training(self._clock_ms() + round(self._config.round_seconds * 1000))
        await self._file.save(campaign)
        self._service.events.add_phase(campaign)
        self._report(f"round {campaign.round} of {campaign.rounds}: clients train")

    async def collect_updates(self) -> None:
        """Accept updates until all have come or the deadline has passed; then end the training."""
        campaign = self._campaign
        if campaign.deadline_ms <= self._clock_ms():
            # It passed while this coordinator was down: clients get the time again.
            await self.begin_training()
        while (remaining_ms := campaign.deadline_ms - self._clock_ms()) > 0:
            if campaign.updates and not self._awaited():
                break
            await self._service.wait_for_change(remaining_ms / 1000)
        num_late = len(self._awaited())
        updates = campaign.end_training()
        for address in self._service.refused_clients():
            # It came in time: the next round waits for it.
            campaign.clients[address].missed = False
        await self._file.save(campaign)
        received = format_count(len(updates), "update")
        late = f"; {num_late} did not come in time" if num_late else ""
        self._report(f"round {campaign.round}: {received}{late}")
        self._service.events.add_phase(campaign)

    def _awaited(self) -> frozenset[bytes]:
        return self._campaign.awaited_clients() - self._service.refused_clients()

    async def _apply_clients_file(self) -> None:
        changed = await follow_clients_file(
            self._config.clients_file, self._campaign, self._node, self._delivery, self._report
        )
        if changed:
            await self._file.save(self._campaign)

    def _count_present(self) -> int:
        return sum(not client.missed for client in self._campaign.clients.values())
