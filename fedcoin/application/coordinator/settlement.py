"""Having a round's updates valued and paid for: average, upload, open the task, wait."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from fedcoin.application.configuration.config import CoordinatorConfig
from fedcoin.application.coordinator.campaign import Campaign, ClientOutcome, RoundRecord
from fedcoin.application.coordinator.chain_messages import build_open_task
from fedcoin.application.wallet.delivery import Delivery, SavePending
from fedcoin.data.artifacts.store import ArtifactStore
from fedcoin.data.crypto.addresses import parse_address
from fedcoin.data.messages.updates import Update
from fedcoin.learning.model.aggregation import average_files
from fedcoin.learning.workers.pool import WorkerPool
from fedcoin.network.client.node_client import NodeClient
from fedcoin.v1.block_pb2 import TASK_PHASE_SETTLED
from fedcoin.v1.views_pb2 import TaskView

PATIENCE_SECONDS = 24 * 3600.0
"""How long a node that was lost while it mined a task is waited for."""


class RoundSettlement:
    """What a coordinator does between a round's last update and its payment.

    Each step may be repeated after a restart: the average is the same bytes, an upload that is
    complete sends nothing, and a transaction is handed in as it was signed.
    """

    def __init__(
        self,
        config: CoordinatorConfig,
        node: NodeClient,
        store: ArtifactStore,
        worker: WorkerPool,
        delivery: Delivery,
    ) -> None:
        self._config = config
        self._node = node
        self._store = store
        self._worker = worker
        self._delivery = delivery

    async def aggregate(self, campaign: Campaign) -> None:
        """Set the campaign's ``aggregate`` to the updates' average, and count its right answers."""
        updates = in_order(campaign)
        raw = await self._worker.run(
            f"while averaging the updates of round {campaign.round}",
            average_files,
            [self._store.path(update.update) for update in updates],
            [update.num_samples for update in updates],
        )
        aggregate = await asyncio.to_thread(self._store.put, raw)
        campaign.right_answers = await self._worker.count_correct(
            self._store.path(campaign.model),
            self._store.path(aggregate),
            self._store.path(campaign.shard.artifact),
        )
        campaign.aggregate = aggregate

    async def open_task(self, campaign: Campaign, keep: SavePending) -> bytes:
        """Upload what the miners need and open the round's task; its id.

        Raises RpcFailure when the node refuses.
        """
        updates = in_order(campaign)
        if not campaign.pending:
            needed = [campaign.model, campaign.base, campaign.aggregate, campaign.shard.artifact]
            needed += [update.update for update in updates]
            for artifact in dict.fromkeys(needed):
                await self._delivery.retry_while_away(self._uploading(artifact))
        offer = build_open_task(self._config, campaign, updates)
        return (await self._delivery.deliver(offer, campaign.pending, keep)).hash

    async def result(self, campaign: Campaign, task_id: bytes) -> RoundRecord:
        """What came of the present round's task, once it is settled or failed."""
        return record_of(await self._delivery.retry_while_away(self._closing(task_id)), campaign)

    def _uploading(self, artifact: bytes) -> Callable[[], Awaitable[bytes]]:
        return lambda: self._node.upload_artifact(self._store.path(artifact))

    def _closing(self, task_id: bytes) -> Callable[[], Awaitable[TaskView]]:
        async def closed() -> TaskView:
            last = TaskView()
            async for view in self._node.watch_task(task_id, patience=PATIENCE_SECONDS):
                last = view
            return last

        return closed


def in_order(campaign: Campaign) -> list[Update]:
    """The present round's updates by address, as a task lists them."""
    return [campaign.updates[address] for address in sorted(campaign.updates)]


def record_of(view: TaskView, campaign: Campaign) -> RoundRecord:
    """What a closed task means for the present round."""
    clients = [
        ClientOutcome(
            address=parse_address(client.address),
            num_samples=client.num_samples,
            shapley_nano=client.shapley_nano,
            payout=client.payout,
        )
        for client in view.clients
    ]
    return RoundRecord(
        round=campaign.round,
        task_id=bytes.fromhex(view.task_id),
        settled=view.phase == TASK_PHASE_SETTLED,
        right_answers=campaign.right_answers,
        evaluation_size=campaign.shard.size,
        clients=tuple(clients),
    )
